"""Which check proves each table that a month rests on, and why nothing hangs on the rest of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

ID = "the number of a row that nothing names"
ORDER = "the order of the rows, which are compared in it"
TOLD = "told beside; nothing is computed from it"


class Proven(NamedTuple):
    """By which checks a table's rows are proven (the first that finds anything is enough), what a
    finding must say of the row (SQL on `t`), which kinds of rows there are (SQL on `t`), and the
    columns that are nobody's proof, with the reason."""

    checks: tuple[str, ...]
    place: str
    kinds: str = "''"
    free: Mapping[str, str] = {}


RECORDED = ("recorded rows",)
EVENT = "'event ' || t.event_key"
DIVIDED = "(SELECT 'allocation run ' || number FROM allocation_run r WHERE r.id = t.run_id)"
OF_RESULT = (
    "(SELECT 'reconciliation ' || number FROM reconciliation r JOIN reconciliation_result s"
    " ON s.reconciliation_id = r.id WHERE s.id = t.result_id)"
)
DECIDED = (
    "(SELECT d.state FROM event_disposition d WHERE d.event_key = t.event_key"
    " ORDER BY sequence DESC LIMIT 1)"
)
OF_INVOICE = "(SELECT {} FROM invoice i WHERE i.id = t.invoice_id)"
OF_LINE = (
    "(SELECT {} FROM invoice i JOIN invoice_line l ON l.invoice_id = i.id WHERE l.id = t.line_id)"
)


def recorded(key: str = "id", **free: str) -> Proven:
    """A table that its history proves; what the history leaves out is in `free`."""
    return Proven(RECORDED, f"t.{key}::text", free=free)


PROVEN: dict[str, Proven] = {
    "usage_event": Proven(
        ("event digests", "ledger", "seals"),
        EVENT,
        f"concat_ws(', ', pricing, {DECIDED}, CASE WHEN shares IS NOT NULL THEN 'shared' END)",
    ),
    "event_ledger": Proven(
        ("ledger",),
        EVENT,
        DECIDED,
        {
            "claim_digest": "decides what a resend is told, and cannot be made again: whom a user"
            " was can have been forgotten",
            "claimed_on": "says until when a key is kept",
        },
    ),
    "event_revision": Proven(
        ("event digests", "revisions", "shares", "rollups"),
        f"{EVENT} || '|usage rollup'",
        "revision",
        {
            "author": "as its act of re-rating says, which is recorded",
            "reason": "as its act of re-rating says, which is recorded",
            "made_at": "moved over a close, the seals break",
        },
    ),
    "event_share": Proven(
        ("shares", "rollups"),
        f"{EVENT} || '|usage rollup'",
        "CASE WHEN revision < (SELECT max(revision) FROM event_share s"
        " WHERE s.event_key = t.event_key) THEN 'before'"
        " WHEN position = 2 THEN 'last' ELSE 'shared' END",
        {"before.cost_centre": "of how it was divided before; the rollups hold how it is"},
    ),
    "event_disposition": Proven(
        ("dispositions", "rollups"),
        f"{EVENT} || '|usage rollup'",
        "state",
        {
            "reason": TOLD,
            "author": TOLD,
            "made_at": "moved over a close, the seals break",
        },
    ),
    "late_arrival": Proven(
        ("late queue",),
        EVENT,
        "CASE WHEN received_at > (SELECT max(sealed_at) FROM seal) THEN kind ELSE 'closed on' END",
        {
            "id": ID,
            "reason": TOLD,
            "closed on.gone": "the month was reopened and closed with it: it waits no longer",
            "held.gone": "a change that was not made; what was told is kept with the other reports",
            "held.received_at": TOLD,
            "held.source": TOLD,
        },
    ),
    "seal": Proven(
        ("chain of seals", "recorded rows", "closes"), "'seal '", "concat(book, sequence)"
    ),
    "seal_bucket": Proven(
        ("chain of seals", "seals of charges", "seals"),
        "'seal ' || (SELECT sequence || '|' || book FROM seal s WHERE s.id = t.seal_id)",
        "(SELECT concat(book, sequence) FROM seal s WHERE s.id = t.seal_id)",
        {
            "id": ID,
            "usage1.hour_at": "of a seal that another has followed, the hour is hashed and no more",
            "cost1.hour_at": "of a seal that another has followed, the hour is hashed and no more",
        },
    ),
    **dict.fromkeys(
        ("usage_rollup", "usage_rollup_tail"),
        Proven(
            ("rollups",), "to_char(t.bucket_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')", "pricing"
        ),
    ),
    **dict.fromkeys(
        ("cell_rollup", "cell_rollup_tail"),
        Proven(
            ("cells, cost lines and price rows", "rollups", "allocation"),
            "t.day || '|usage as of its close'",
            "pricing",
        ),
    ),
    **dict.fromkeys(
        ("user_rollup", "user_rollup_tail"), Proven(("rollups",), "t.day::text", "user_kind")
    ),
    "day_rollup": Proven(("rollups",), "t.day::text", "pricing"),
    "price_row": Proven(
        ("cells, cost lines and price rows",),
        "'price row ' || t.id",
        "CASE WHEN id IN (SELECT (line ->> 4)::bigint FROM usage_event e,"
        " json_array_elements(e.lines) line) THEN 'used' ELSE 'to come' END",
        {
            "to come.*": "no cost names it",
            "used.derived_from_id": TOLD,
            "used.valid_to": "until when calls to come are priced by it: what was priced before an"
            " end that came later stays",
        },
    ),
    "price_list_import": Proven(
        ("cells, cost lines and price rows", "recorded rows"),
        "'price list import ' || t.id",
        "book",
        {
            "rules": "says how calls to come find a price; what was priced names it",
            "terms": "what contracts to come are worked out from",
            "refused": TOLD,
        },
    ),
    "provider_bill": Proven(("bills", "recorded rows"), "'bill ' || t.id", "id"),
    "bill_document": Proven(
        ("bills",),
        "(SELECT 'bill ' || b.id FROM provider_bill b WHERE b.document_id = t.id)",
        "id",
        {"name": TOLD, "received_at": TOLD},
    ),
    "provider_bill_line": Proven(
        ("bills",), "'bill ' || t.bill_id", "concat(bill_id, kind)", {"id": ID}
    ),
    "reconciliation": Proven(("recorded rows",), "'reconciliation ' || t.id", "number"),
    "reconciliation_result": Proven(
        ("reconciliations",),
        "(SELECT 'reconciliation ' || number FROM reconciliation r"
        " WHERE r.id = t.reconciliation_id)",
        "reconciliation_id",
        {"id": ID},
    ),
    "reconciliation_step": Proven(
        ("reconciliations",), OF_RESULT, "result_id", {"id": ID, "position": ORDER}
    ),
    "reconciliation_evidence": Proven(("reconciliations",), OF_RESULT, "result_id", {"id": ID}),
    "allocation_run": Proven(
        ("closes", "allocation", "recorded rows"), "'allocation run ' || t.number", "state"
    ),
    "allocation_bill": Proven(
        ("allocation", "closes"),
        DIVIDED,
        "run_id",
        {"id": ID, "minor_digits": "what the row is checked by as it is written; read by nothing"},
    ),
    "allocation_source": Proven(("allocation", "closes"), DIVIDED, "run_id", {"id": ID}),
    "allocation_line": Proven(
        ("allocation", "closes"), DIVIDED, "run_id", {"id": ID, "number": ORDER}
    ),
    "allocation_settlement": Proven(("allocation", "closes"), DIVIDED, "run_id", {"id": ID}),
    "run_approval": Proven(
        ("closes", "recorded rows"), "'allocation run |run approval ' || t.id", "run_id"
    ),
    "period_close": Proven(
        ("closes", "recorded rows"),
        "'close of |period close ' || t.id",
        "id",
        {
            "answers": "what was answered, in words; who closed on it, and when, is recorded",
        },
    ),
    "period_reopening": Proven(("closes", "allocation", "recorded rows"), "'reopening'"),
    "invoice": Proven(
        ("invoices", "seals of charges", "recorded rows"), "'invoice ' || t.id", "state"
    ),
    "invoice_line": Proven(
        ("invoices",),
        "'invoice ' || t.invoice_id",
        OF_INVOICE.format("state"),
        {"id": ID},
    ),
    "invoice_line_part": Proven(
        ("invoices",),
        f"'invoice ' || {OF_LINE.format('i.id')}",
        OF_LINE.format("i.state"),
        {"id": ID},
    ),
    **dict.fromkeys(
        (
            *("statement", "subscription"),
            *("driver_value", "bill_replacement", "commitment", "owner_mapping"),
            *("tenant_mapping", "attribute_name", "rerating"),
        ),
        recorded(),
    ),
    **dict.fromkeys(("tenant", "source"), recorded("key")),
    "plan_version": Proven(
        ("recorded rows", "invoices"), "'plan version ' || t.id || '|' || t.plan_id"
    ),
    "allocation_rule_version": Proven(("recorded rows", "allocation"), "'allocation rule'"),
    "service_account": Proven(RECORDED, "'service account'"),
    "plan": recorded("code"),
    "cost_centre": recorded("code"),
    "allocation_rule": recorded("name"),
}

PASSED_OVER = {
    "late_event": "what was too old to be told from a duplicate counts nowhere",
    "business_outcome": "what calls were made for; nothing is owed by it",
    "metric_reading": "compared with events, never counted",
    "call_identity": "where reports of a call meet; what counts are its events",
    "call_span": "what later reports are joined with; what counts are its events",
    "call_trace": "what later reports are joined with; what counts are its events",
    "rerating_difference": "beside the revisions, which are proven",
    "rerating_end": "beside the revisions, which are proven",
    "user_identity": "deleting the row forgets a person",
    "owner_book_version": "has programs read the books again",
    "budget": "what one means to spend; nothing is owed by it",
    "invoice_standing": "what Stripe said last, as its webhooks tell",
    "stripe_customer": "who a customer is at Stripe",
    "stripe_push": "held against the lines, item by item: tests of pushing",
    "stripe_request": "held against the lines, item by item: tests of pushing",
    "provider": "a server of the operator's own, by name",
    "pghistory_context": "not used: a context stands in the history's own row",
}
"""Tables that no proof of a month rests on."""

NOT_OF_A_MONTH = (
    "auth_",
    "django_",
    "api_key",
    "work_",
    "schedule_firing",
    "stripe_event",
    "stripe_finding",
)
