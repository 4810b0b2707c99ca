"""`manage.py import_bill FILE --provider P`: take in a provider's bill."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from allocation.bill_checks import BillRefused, Confirmed
from allocation.bills.formats import FORMATS
from allocation.bills.reading import Terms, currency_code
from allocation.provider_bills import Imported, StoredBill, import_bill
from config.roles import IMPORT_BILLS
from metering.domain.money import UnknownCurrency, plain
from metering.files.input_files import UnreadableInput, content_of
from metering.management.answering import AnsweringCommand
from metering.people import NotAllowed, author


class Command(AnsweringCommand):
    help = "Takes in a provider's bill: keeps the file as it is, reads its lines, checks its unit."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", help="the bill as the provider gave it")
        parser.add_argument("--provider", required=True, help="whose bill it is, like openai")
        parser.add_argument("--account", default="", help="the account of lines that name none")
        parser.add_argument(
            "--format", help=f"one of {', '.join(FORMATS)} (default: told from the content)"
        )
        parser.add_argument(
            "--map",
            action="append",
            default=[],
            metavar="FIELD=COLUMN",
            help="which column of a CSV holds which field (may be repeated)",
        )
        parser.add_argument("--currency", help="the currency of lines that name none, like USD")
        parser.add_argument(
            "--amount-unit",
            choices=["major", "minor"],
            default="major",
            help="whether a CSV's amounts are dollars (major) or cents (minor)",
        )
        parser.add_argument(
            "--replaces",
            action="append",
            default=[],
            type=int,
            metavar="BILL",
            help="the bill that this one restates (may be repeated)",
        )
        parser.add_argument(
            "--confirm-unit",
            action="store_true",
            help="the unit and the currency are right, however odd the amounts look",
        )
        parser.add_argument(
            "--confirm-provider",
            action="store_true",
            help="the provider is right although nothing of it was metered",
        )
        parser.add_argument("--as", dest="person", default="", help="who imports")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, **options: Any) -> None:
        path = Path(options["file"])
        try:
            author(options["person"], IMPORT_BILLS)
            imported = import_bill(
                content_of(path),
                Terms(
                    provider=options["provider"],
                    account=options["account"],
                    currency=currency_code(options["currency"]) if options["currency"] else None,
                    columns=_columns(options["map"]),
                    amount_unit=options["amount_unit"],
                ),
                now=timezone.now(),
                name=path.name,
                format_name=options["format"],
                replaces=options["replaces"],
                confirmed=Confirmed(
                    unit=options["confirm_unit"], provider=options["confirm_provider"]
                ),
            )
        except (BillRefused, UnknownCurrency) as error:
            raise CommandError(f"{path.name} was not taken in.\n{error}") from error
        except (UnreadableInput, NotAllowed) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(_value(imported)))
            return
        if not imported.new:
            self.stdout.write("the same bill was taken in before; nothing changed")
        for bill in imported.bills:
            self.stdout.write(_sentence(bill))
            if bill.replaced_by:
                self.stdout.write(
                    f"  if that restatement was a mistake: the same file, --replaces"
                    f" {bill.replaced_by}"
                )


def _columns(pairs: list[str]) -> dict[str, str]:
    columns: dict[str, str] = {}
    for pair in pairs:
        field, equals, column = pair.partition("=")
        if not equals or not field or not column:
            raise CommandError(f"--map {pair!r} is not FIELD=COLUMN, like day=usage_date")
        if field in columns:
            raise CommandError(f"--map names {field!r} twice")
        columns[field] = column
    return columns


def _value(imported: Imported) -> dict[str, Any]:
    return {
        "new": imported.new,
        "bills": [
            {
                "bill": bill.id,
                "provider": bill.provider,
                "account": bill.account,
                "period": str(bill.month),
                "first_day": bill.days[0].isoformat(),
                "last_day": bill.days[-1].isoformat(),
                "currency": bill.currency,
                "total": plain(bill.exact),
                "payable": plain(bill.payable),
                "lines": bill.lines,
                "digest": bill.lines_digest,
                "document": bill.document_sha256,
                "replaced_by": bill.replaced_by,
            }
            for bill in imported.bills
        ],
    }


def _sentence(bill: StoredBill) -> str:
    account = f", account {bill.account}" if bill.account else ""
    replaced = f" (replaced by bill {bill.replaced_by})" if bill.replaced_by else ""
    return (
        f"bill {bill.id}{replaced}: {bill.provider} {bill.month}{account}, {bill.lines} lines of "
        f"{bill.days[0]} to {bill.days[-1]}, {plain(bill.exact)} {bill.currency}, "
        f"payable {plain(bill.payable)}"
    )
