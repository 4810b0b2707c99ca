"""The admin of billing: plans, invoices, and the start page that says where the month stands."""

from django.contrib import admin

from billing.admin import invoice_lines, invoices, plans

__all__ = ["invoice_lines", "invoices", "plans"]

admin.site.index_template = "billing/start_page.html"
