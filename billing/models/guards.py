"""What the database refuses for invoices and dated rows, whoever asks: triggers by name."""

from __future__ import annotations

from functools import reduce
from operator import or_

import pgtrigger

_SUM_HOLDS = """
    IF (SELECT total_minor FROM invoice WHERE id = NEW.{key}) IS DISTINCT FROM
       (SELECT coalesce(sum(amount_minor), 0) FROM invoice_line WHERE invoice_id = NEW.{key})
    THEN
        RAISE EXCEPTION 'the lines of invoice % do not add up to its total', NEW.{key}
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
"""
_IS_A_DRAFT = """
    SELECT state INTO standing FROM invoice WHERE id = {invoice} FOR SHARE;
    IF standing IS DISTINCT FROM 'draft' THEN
        RAISE EXCEPTION 'invoice % is no draft: no line can be added', {invoice}
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
"""


def sum_holds(name: str, key: str) -> pgtrigger.Trigger:
    return pgtrigger.Trigger(
        name=name,
        level=pgtrigger.Row,
        when=pgtrigger.After,
        operation=pgtrigger.Insert,
        timing=pgtrigger.Deferred,
        func=_SUM_HOLDS.format(key=key),
    )


def no_truncate(name: str) -> pgtrigger.Trigger:
    return pgtrigger.Trigger(
        name=name,
        level=pgtrigger.Statement,
        when=pgtrigger.Before,
        operation=pgtrigger.Truncate,
        func="RAISE EXCEPTION 'invoices are kept: % cannot be emptied', TG_TABLE_NAME;",
    )


def written_once(name: str) -> list[pgtrigger.Trigger]:
    return [
        pgtrigger.Protect(
            name=f"{name}_written_once", operation=pgtrigger.Update | pgtrigger.Delete
        ),
        no_truncate(f"{name}_not_emptied"),
    ]


def only_on(name: str, old: str | None, new: str, *fields: str) -> pgtrigger.Trigger:
    """Fields that change together with a transition of the state, and at no other time."""
    transition = pgtrigger.Q(new__state=new)
    transition &= pgtrigger.Q(old__state=old) if old else ~pgtrigger.Q(old__state=new)
    return pgtrigger.Protect(
        name=name,
        operation=pgtrigger.Update,
        condition=_changed(*fields) & ~transition,
    )


def only_closing(name: str) -> list[pgtrigger.Trigger]:
    """A dated row: nothing of it changes but an open end, once; it is never deleted."""
    return [
        pgtrigger.ReadOnly(name=f"{name}_fixed", exclude=["valid_to"]),
        pgtrigger.Protect(
            name=f"{name}_closed_once",
            operation=pgtrigger.Update,
            condition=_changed("valid_to") & pgtrigger.Q(old__valid_to__isnull=False),
        ),
        pgtrigger.Protect(name=f"{name}_kept", operation=pgtrigger.Delete),
    ]


def line_of_a_draft(name: str, invoice: str) -> pgtrigger.Trigger:
    """Rows that only a draft takes. `invoice` is SQL for the key of the invoice of the new row;
    its row is shared, so that an approval under way ends first."""
    return pgtrigger.Trigger(
        name=name,
        level=pgtrigger.Row,
        when=pgtrigger.Before,
        operation=pgtrigger.Insert,
        declare=[("standing", "TEXT")],
        func=_IS_A_DRAFT.format(invoice=invoice),
    )


def _changed(*fields: str) -> pgtrigger.Q:
    return reduce(or_, (pgtrigger.Q(**{f"old__{f}__df": pgtrigger.F(f"new__{f}")}) for f in fields))
