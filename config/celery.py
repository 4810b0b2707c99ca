"""The Celery application: carries hints over Redis; what is to be done stands in PostgreSQL."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("apportion")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
