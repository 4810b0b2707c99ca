"""Owners as rows: the snapshot that ingestion attributes by, and the file that sets them up.

The file is CSV with the columns `kind,key,target`, and if need be
`valid_from,valid_to,reason,responsible,mode,team,time_zone,role`:

| kind | key | target |
|---|---|---|
| `cost_centre` | code | name; with `responsible`, `mode` (showback, chargeback) and `team` |
| `tenant` | key | name; with `time_zone` |
| `provider` | key | name, of a server of the operator's own |
| `source` | key | the provider's project its calls are billed under; with `role`, below |
| `service_account` | user id or agent hash, as sent | name |
| `owner:` with `cost_centre`, `endpoint_tag`, `user`, `tenant`, `source` | as sent | cost centre |
| `tenant:` with `user`, `source` | as sent | tenant |
| `attribute:` with `tenantId`, `costCenter`, … `tags.NAME` | source | the attribute that says it |

A source's `role` says what is believed of it first where another source reports the same call: whom
it was for (`application`) or what it used (`meter`); empty: as the reports themselves show.
"""

from __future__ import annotations

import csv
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from io import StringIO
from pathlib import Path
from threading import Lock
from typing import Final, get_args
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import IntegrityError, connection, transaction

from metering import attribute_names
from metering.book_version import book_version
from metering.domain.attribution import Dated, DatedTargets, OwnerBook, SourceDefaults
from metering.domain.identity import lookup_hash
from metering.domain.merged_calls import Role
from metering.files.input_files import text_of
from metering.models import (
    AttributeName,
    CostCentre,
    OwnerMapping,
    Provider,
    ServiceAccount,
    Source,
    Tenant,
    TenantMapping,
    UserIdentity,
)

MAX_ROWS = 1_000_000


class OwnersFileError(ValueError):
    """A row of the owners file cannot be taken; nothing of the file was stored."""


@dataclass(frozen=True)
class ImportedOwners:
    """How many rows the file had, and how many of them were new."""

    rows: int
    added: int


_ROLES: Final[dict[str, Role]] = {name: name for name in get_args(Role)}


def load_book() -> OwnerBook:
    """All owners and mappings as they stand, as the snapshot that attribution works from."""
    hashes = {
        str(pseudonym): bytes(lookup)
        for lookup, pseudonym in UserIdentity.objects.filter(
            pseudonym__in=_mapped_pseudonyms()
        ).values_list("lookup_hash", "pseudonym")
    }
    by_kind = _dated(OwnerMapping.objects.values_list(*_FIELDS, "cost_centre_id"), hashes)
    tenants = _dated(TenantMapping.objects.values_list(*_FIELDS, "tenant_id"), hashes)
    accounts = ServiceAccount.objects.values_list("pseudonym", flat=True)
    return OwnerBook(
        cost_centres=frozenset(CostCentre.objects.values_list("code", flat=True)),
        by_cost_centre=by_kind["cost_centre"],
        by_endpoint_tag=by_kind["endpoint_tag"],
        by_user=by_kind["user"],
        by_tenant=by_kind["tenant"],
        by_source=by_kind["source"],
        user_tenants=tenants["user"],
        source_tenants=tenants["source"],
        service_accounts=frozenset(hashes[str(p)] for p in accounts if str(p) in hashes),
        sources={
            key: SourceDefaults(provider_project=project, role=_ROLES.get(role))
            for key, project, role in Source.objects.values_list("key", "provider_project", "role")
        },
        providers=frozenset(Provider.objects.values_list("key", flat=True)),
    )


_books: dict[str, tuple[str, OwnerBook]] = {}
_reading: Final = Lock()


def current_book() -> OwnerBook:
    """As `load_book`: one small query while nobody has changed owners or mappings since the last
    call in this process, all of them when somebody has.

    The version is read before the book, so a change in between is met again by the next call.
    Inside a transaction, which may have changed the book itself, nothing is remembered.
    """
    if connection.in_atomic_block:
        return load_book()
    version = book_version()
    place = str(connection.settings_dict["NAME"])
    remembered = _books.get(place)
    if remembered is not None and remembered[0] == version:
        return remembered[1]
    # One thread reads it, and those that need it meanwhile wait.
    with _reading:
        remembered = _books.get(place)
        if remembered is not None and remembered[0] == version:
            return remembered[1]
        book = load_book()
        _books[place] = (version, book)
        return book


_FIELDS = ("kind", "key", "valid_from", "valid_to")


def _mapped_pseudonyms() -> set[str]:
    keys: set[str] = set()
    for model in (OwnerMapping, TenantMapping):
        keys.update(model.objects.filter(kind="user").values_list("key", flat=True))
    keys.update(str(p) for p in ServiceAccount.objects.values_list("pseudonym", flat=True))
    return keys


def _dated(
    rows: Iterable[tuple[str, str, datetime | None, datetime | None, str]],
    hashes: Mapping[str, bytes],
) -> Mapping[str, dict[str, DatedTargets]]:
    grouped: dict[str, dict[str, list[Dated]]] = defaultdict(lambda: defaultdict(list))
    for kind, key, valid_from, valid_to, target in rows:
        if kind != "user":
            grouped[kind][key].append(Dated(valid_from, valid_to, target))
        elif key in hashes:  # an erased person's mapping can match nobody any more
            grouped[kind][hashes[key].hex()].append(Dated(valid_from, valid_to, target))
    return defaultdict(
        dict,
        {
            kind: {key: DatedTargets.of(targets) for key, targets in keys.items()}
            for kind, keys in grouped.items()
        },
    )


def pseudonym_of(identifier: str, namespace: bytes = b"user") -> uuid.UUID:
    """The pseudonym of a user (or of an agent), made if it has none yet."""
    hashed = lookup_hash(settings.IDENTITY_HASH_KEY.encode(), namespace, identifier)
    identity, _ = UserIdentity.objects.get_or_create(
        lookup_hash=hashed, defaults={"pseudonym": uuid.uuid4()}
    )
    return identity.pseudonym


def import_file(path: Path) -> ImportedOwners:
    """Store the file's owners and mappings, all or none; a row that is there already is left.

    Raises `OwnersFileError` naming the line and what to mend, or `UnreadableInput`.
    """
    text = text_of(path)
    try:
        return _import(path, text)
    except csv.Error as error:
        raise OwnersFileError(f"{path.name} is no CSV that can be read: {error}") from error


def _import(path: Path, text: str) -> ImportedOwners:
    added = rows = 0
    with transaction.atomic():
        reader = csv.DictReader(StringIO(text, newline=""))
        missing = {"kind", "key", "target"} - set(reader.fieldnames or ())
        if missing:
            raise OwnersFileError(
                f"{path.name}: no column {', '.join(sorted(missing))};"
                f" it has {', '.join(reader.fieldnames or ['none'])}"
            )
        for row in reader:
            rows += 1
            place = f"{path.name} line {reader.line_num}"
            if rows > MAX_ROWS:
                raise OwnersFileError(f"{place}: more than {MAX_ROWS} rows; split the file")
            values = {name: (value or "").strip() for name, value in row.items() if name}
            _refuse_unseen(values, place)
            try:
                with transaction.atomic():
                    added += _store(values, place)
            except IntegrityError as error:
                raise OwnersFileError(
                    f"{place}: {values['kind']} {values['key']!r} overlaps in time with another"
                    f" mapping of the same key, or names an owner that does not exist"
                ) from error
    return ImportedOwners(rows, added)


def _refuse_unseen(row: Mapping[str, str], place: str) -> None:
    """Control characters and marks of writing direction: what is read is not what is stored."""
    for column, text in row.items():
        if not text.isprintable():
            raise OwnersFileError(
                f"{place}: {column} {text!r:.80} holds a character that cannot be seen; remove it"
            )


_KINDS: Final = (
    *("cost_centre", "tenant", "provider", "source", "service_account"),
    *(f"owner:{of}" for of in OwnerMapping.Kind),
    *(f"tenant:{of}" for of in TenantMapping.Kind),
    "attribute:FIELD",
)


def _store(row: Mapping[str, str], place: str) -> int:  # noqa: C901 - one case a kind
    kind, key, target = row["kind"], row["key"], row["target"]
    if not kind or not key:
        raise OwnersFileError(f"{place}: kind and key must not be empty")
    match kind.split(":"):
        case ["cost_centre"]:
            return _cost_centre(row, place)
        case ["tenant"]:
            zone = row.get("time_zone") or "UTC"
            _zone(zone, place)
            return _put(Tenant, {"key": key}, {"name": target, "time_zone": zone})
        case ["provider"]:
            return _put(Provider, {"key": key}, {"name": target})
        case ["source"]:
            return _put(Source, {"key": key}, {"provider_project": target, **_source(row, place)})
        case ["service_account"]:
            return _put(ServiceAccount, {"pseudonym": pseudonym_of(key)}, {"name": target})
        case ["owner", str(of)] if of in OwnerMapping.Kind:
            if not CostCentre.objects.filter(code=target).exists():
                raise OwnersFileError(
                    f"{place}: cost centre {target!r} is not registered;"
                    " put its `cost_centre` row before this one"
                )
            return _map(OwnerMapping, of, row, {"cost_centre_id": target}, place)
        case ["tenant", str(of)] if of in TenantMapping.Kind:
            Tenant.objects.get_or_create(key=target)
            return _map(TenantMapping, of, row, {"tenant_id": target}, place)
        case ["attribute", str(field)]:
            return _attribute(key, field, target, place)
        case _:
            raise OwnersFileError(f"{place}: kind {kind!r} is not known; write {', '.join(_KINDS)}")


def _source(row: Mapping[str, str], place: str) -> dict[str, object]:
    """What the row says of a source besides its project; a file without a column leaves it as it
    is, so that an older file does not take back what was set since."""
    told: dict[str, object] = {}
    if "role" in row:
        if row["role"] not in ("", *_ROLES):
            raise OwnersFileError(
                f"{place}: role {row['role']!r:.80} is none of {', '.join(_ROLES)}; leave it empty"
                " where the reports themselves show who is believed"
            )
        told["role"] = row["role"]
    return told


def _attribute(source: str, field: str, attribute: str, place: str) -> int:
    problem = attribute_names.problem_of(field, attribute)
    if problem is not None:
        raise OwnersFileError(f"{place}: {problem}")
    return _put(AttributeName, {"source": source, "field": field, "attribute": attribute}, {})


def _cost_centre(row: Mapping[str, str], place: str) -> int:
    mode = row.get("mode") or CostCentre.Mode.SHOWBACK
    if mode not in CostCentre.Mode.values:
        raise OwnersFileError(f"{place}: mode {mode!r} is neither showback nor chargeback")
    responsible = row.get("responsible")
    if not responsible:
        raise OwnersFileError(
            f"{place}: cost centre {row['key']!r} needs a person in the column `responsible`"
        )
    return _put(
        CostCentre,
        {"code": row["key"]},
        {
            "name": row["target"],
            "responsible": responsible,
            "mode": mode,
            "team": row.get("team", ""),
        },
    )


def _put(model: type, identity: Mapping[str, object], values: Mapping[str, object]) -> int:
    _, created = model.objects.update_or_create(  # type: ignore[attr-defined]
        **identity, defaults=dict(values)
    )
    return int(created)


def _map(
    model: type[OwnerMapping] | type[TenantMapping],
    of: str,
    row: Mapping[str, str],
    target: Mapping[str, str],
    place: str,
) -> int:
    key = str(pseudonym_of(row["key"])) if of == "user" else row["key"]
    starts = _instant(row.get("valid_from", ""), place)
    ends = _instant(row.get("valid_to", ""), place)
    if starts is not None and ends is not None and ends <= starts:
        raise OwnersFileError(
            f"{place}: valid_to {row['valid_to']} is not after valid_from {row['valid_from']}; it"
            " is the first day on which the mapping no longer holds"
        )
    _, created = model.objects.get_or_create(
        kind=of,
        key=key,
        valid_from=starts,
        valid_to=ends,
        **target,
        defaults={"reason": row.get("reason", "")},
    )
    return int(created)


def _instant(text: str, place: str) -> datetime | None:
    if not text:
        return None
    try:
        if len(text) == len("2026-10-01"):
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise OwnersFileError(
            f"{place}: {text!r} is no date; write 2026-10-01 or 2026-10-01T00:00:00Z"
        ) from error
    if instant.tzinfo is None:
        raise OwnersFileError(f"{place}: {text!r} has no time zone; add Z for UTC")
    return instant


def _zone(name: str, place: str) -> None:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError) as error:
        raise OwnersFileError(f"{place}: {name!r} is no time zone; write Europe/Berlin") from error
