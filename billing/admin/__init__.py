"""The admin of billing: plans, invoices, and the start page that says where the month stands."""

from django.contrib import admin

from billing.admin import invoice_lines, invoices, plans, stripe

__all__ = ["invoice_lines", "invoices", "plans", "stripe"]

admin.site.index_template = "billing/start_page.html"
