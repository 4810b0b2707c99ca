"""What granian serves: Django, with garbage collected rarely."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

from config.garbage import collect_rarely

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
collect_rarely()
application = get_wsgi_application()
