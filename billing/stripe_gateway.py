"""The one file that speaks Stripe: calls, their errors as ours, and webhook signatures.

Calls are bounded in time and in repetitions. Objects come back as plain mappings of integers and
text; nothing here decides anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, Self, cast
from urllib.parse import urlsplit

from django.conf import settings

if TYPE_CHECKING:
    import stripe  # where it is used it is imported then: it takes long, and most never need it

CONNECT_TIMEOUT: Final = 5
READ_TIMEOUT: Final = 30
"""Seconds."""

RETRIES: Final = 2
"""Repetitions of one call by the SDK, with the same idempotency key, after a lost answer, a
conflict or a 5xx that Stripe does not advise against repeating."""

WEBHOOK_TOLERANCE: Final = 300
"""Seconds that a webhook's signature may be old."""

_STRIPE_HOST: Final = "api.stripe.com"
_PAGE: Final = 100

Purpose = Literal["customer", "invoice", "item", "finalize"]


class StripeNotConfigured(RuntimeError):
    """There is no key, or Stripe does not accept it."""


class StripeUnavailable(RuntimeError):
    """No answer, or one that says to come back later. Whether the call had an effect is open."""


class StripeFailed(RuntimeError):
    """Stripe failed and will say so again to the same idempotency key; the effect is open."""


class StripeRefused(RuntimeError):
    """Stripe says that the call is wrong; it had no effect."""


class StripeMissing(StripeRefused):
    """What the call names does not exist at Stripe (any more)."""


class WebhookRefused(ValueError):
    """The webhook's signature does not hold."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The object that a call made or changed, and the name that Stripe gave the request."""

    content: Mapping[str, Any]
    request_id: str

    @property
    def id(self) -> str:
        return str(self.content["id"])


class StripeGateway:
    """Stripe by one key. Every method raises `StripeNotConfigured`, `StripeUnavailable`,
    `StripeFailed` or `StripeRefused`."""

    def __init__(
        self,
        key: str,
        base_url: str,
        *,
        timeouts: tuple[float, float] = (CONNECT_TIMEOUT, READ_TIMEOUT),
        retries: int = RETRIES,
    ) -> None:
        import stripe

        stripe.enable_telemetry = False
        client = stripe.StripeClient(
            key,
            base_addresses={"api": base_url},
            max_network_retries=retries,
            http_client=stripe.RequestsClient(timeout=timeouts),
        )
        self._v1 = client.v1
        self.account = _account(key, base_url)

    @classmethod
    def of_settings(cls) -> Self:
        """Raises `StripeNotConfigured` where STRIPE_API_KEY is not set."""
        if not settings.STRIPE_API_KEY:
            raise StripeNotConfigured(
                "STRIPE_API_KEY is not set, so nothing is pushed to Stripe; set it to a secret or "
                "restricted key of the account (sk_test_… to try)"
            )
        return cls(settings.STRIPE_API_KEY, settings.STRIPE_BASE_URL)

    def send(self, purpose: Purpose, params: Mapping[str, Any], key: str) -> Answer:
        """The one call that makes something; repeated with the same `key` within a day, it gives
        the first answer again. `finalize` takes the invoice's id beside its parameters."""
        sent = cast("Any", dict(params))
        options: stripe.RequestOptions = {"idempotency_key": key}
        match purpose:
            case "customer":
                return _answer(lambda: self._v1.customers.create(sent, options))
            case "invoice":
                return _answer(lambda: self._v1.invoices.create(sent, options))
            case "item":
                return _answer(lambda: self._v1.invoice_items.create(sent, options))
            case "finalize":
                invoice = str(sent.pop("invoice"))
                return _answer(lambda: self._v1.invoices.finalize_invoice(invoice, sent, options))

    def customer_is_gone(self, customer: str) -> bool:
        """Whether it was deleted at Stripe, or never was in this account."""
        try:
            return bool(
                _answer(lambda: self._v1.customers.retrieve(customer)).content.get("deleted")
            )
        except StripeMissing:
            return True

    def invoice(self, invoice: str) -> Mapping[str, Any]:
        """Raises `StripeMissing` if it was deleted (drafts only can be)."""
        return _answer(lambda: self._v1.invoices.retrieve(invoice)).content

    def invoice_lines(self, invoice: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """Every line of an invoice that Stripe has answered with: it comes with the first ten."""
        came = invoice["lines"]
        if not came["has_more"]:
            yield from came["data"]
            return
        yield from _pages(
            lambda: self._v1.invoices.line_items.list(invoice["id"], {"limit": _PAGE}),
        )

    def invoice_items(self, invoice: str) -> Iterator[Mapping[str, Any]]:
        yield from _pages(lambda: self._v1.invoice_items.list({"invoice": invoice, "limit": _PAGE}))

    def invoices_of(self, customer: str, since: datetime) -> Iterator[Mapping[str, Any]]:
        """The customer's invoices made since then; what was made a moment ago is among them."""
        created: stripe.params.InvoiceListParamsCreated = {"gte": int(since.timestamp())}
        yield from _pages(
            lambda: self._v1.invoices.list(
                {"customer": customer, "created": created, "limit": _PAGE}
            )
        )

    def customers_since(self, since: datetime) -> Iterator[Mapping[str, Any]]:
        """All customers made since then; what was made a moment ago is among them."""
        created: stripe.params.CustomerListParamsCreated = {"gte": int(since.timestamp())}
        yield from _pages(lambda: self._v1.customers.list({"created": created, "limit": _PAGE}))

    def customers_with(self, name: str, value: str) -> Iterator[Mapping[str, Any]]:
        """Customers by a value of their metadata; one made in the last hour may be left out. The
        value must not need quoting."""
        query = f"metadata['{name}']:'{value}'"
        yield from _pages(lambda: self._v1.customers.search({"query": query, "limit": _PAGE}))


def verify_webhook(body: bytes, signature: str, secret: str) -> None:
    """Raises `WebhookRefused` unless the secret signed exactly this body, lately."""
    import stripe

    try:
        stripe.WebhookSignature.verify_header(body, signature, secret, WEBHOOK_TOLERANCE)
    except stripe.SignatureVerificationError as wrong:
        raise WebhookRefused(str(wrong.user_message)) from wrong
    except UnicodeDecodeError as wrong:
        raise WebhookRefused("the body is not UTF-8") from wrong


def _account(key: str, base_url: str) -> str:
    host = urlsplit(base_url).netloc
    if host != _STRIPE_HOST:
        return host
    return "live" if "_live_" in key else "test"


def _answer(call: Callable[[], stripe.StripeObject]) -> Answer:
    with _Translated():
        made = call()
        response = made.last_response
        return Answer(made.to_dict(), response.request_id or "" if response else "")


def _pages(
    call: Callable[[], stripe.ListObject[Any] | stripe.SearchResultObject[Any]],
) -> Iterator[Mapping[str, Any]]:
    """Every object of every page, in Stripe's order."""
    with _Translated():
        yield from (one.to_dict() for one in call().auto_paging_iter())


class _Translated:
    """Stripe's errors as ours."""

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        import stripe

        if isinstance(error, stripe.StripeError):
            raise _ours(error) from error


def _ours(error: stripe.StripeError) -> RuntimeError:
    import stripe

    message = f"Stripe: {error}"
    match error:
        case stripe.AuthenticationError() | stripe.PermissionError():
            return StripeNotConfigured(
                f"{message}; check STRIPE_API_KEY (its account, its mode, its permissions)"
            )
        case stripe.RateLimitError():
            return StripeUnavailable(message)
        case stripe.IdempotencyError() if error.http_status == _CONFLICT:
            return StripeUnavailable(message)
        case stripe.InvalidRequestError() if error.http_status == _NOT_FOUND:
            return StripeMissing(message)
        case stripe.APIConnectionError():
            return StripeUnavailable(message)
        case _ if error.http_status is None or error.http_status == _CONFLICT:
            return StripeUnavailable(message)
        case _ if error.http_status >= _SERVER_ERROR:
            return StripeFailed(message) if _is_kept(error) else StripeUnavailable(message)
        case _:
            return StripeRefused(message)


def _is_kept(error: stripe.StripeError) -> bool:
    """Whether this failure is the answer that the idempotency key has from now on."""
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    return headers.get("idempotent-replayed") == "true"


_NOT_FOUND: Final = 404
_CONFLICT: Final = 409
_SERVER_ERROR: Final = 500
