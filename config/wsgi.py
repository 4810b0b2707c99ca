"""What granian serves: Django, with garbage collected rarely."""

from __future__ import annotations

import os
from typing import cast

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

from config.garbage import collect_rarely
from config.senders_door import Application, senders_door

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
collect_rarely()
application = senders_door(cast("Application", get_wsgi_application()))
# Now, before requests come: the first one would wait for all views and the admin to be imported.
get_resolver().url_patterns  # noqa: B018 - a property that loads them
