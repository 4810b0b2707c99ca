"""The events under a line, by key: how many, the digest that proves the set, and a page of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Final
from uuid import UUID

from django.http import HttpRequest
from django.template.response import TemplateResponse

from metering.admin.bases import ModelAdmin
from metering.admin.figures import digest, link, number
from metering.admin.tables import Link, Section, text
from metering.evidence import Selection, keys_under

PAGE: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a line says is beneath it, and where its reader came from."""

    title: str
    selections: Sequence[Selection]
    count: int
    digest: str
    back: str
    download: str = ""


def evidence_page(
    model_admin: ModelAdmin, request: HttpRequest, evidence: Evidence
) -> TemplateResponse:
    """One page of the events' keys, each leading to its event; by key, from `?after=` on."""
    after = _key(request.GET.get("after", ""))
    found: list[tuple[UUID, bytes]] = []
    if evidence.selections:
        with closing(keys_under(evidence.selections, after)) as keys:
            found = list(islice(keys, PAGE + 1))
    links = [Link("download all", evidence.download)] if evidence.download else []
    if after is not None:
        links.append(Link("first page", "?"))
    if len(found) > PAGE:
        links.append(Link("next page", f"?after={found[PAGE - 1][0]}"))
    section = Section(
        f"{number(evidence.count)} events",
        text("event key", "digest of the report"),
        [
            (link("metering_usageevent", key, key), digest(seal, length=64))
            for key, seal in found[:PAGE]
        ],
        note="The digest of the set covers key and digest of each event, in this order: "
        f"{evidence.digest or 'nothing was metered'}",
        links=links,
        empty="No event is beneath this line.",
    )
    context = {
        **model_admin.admin_site.each_context(request),
        "title": evidence.title,
        "opts": model_admin.opts,
        "sections": [section],
        "back": evidence.back,
    }
    return TemplateResponse(request, "metering/admin/listing.html", context)


def _key(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
