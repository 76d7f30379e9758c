"""The outbox in Django's admin: for looking, pausing and sending again."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db import connections, transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join

from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.integrations.django._outbox_setting import configured_outbox, is_configured
from frappe_hooksig.integrations.django._sending_again import WAYS, send_each
from frappe_hooksig.integrations.django.models import (
    Attempt,
    Delivery,
    Endpoint,
    Message,
    time_of,
)
from frappe_hooksig.outbox import DeliveryState
from frappe_hooksig.outbox._endpoints import endpoint_row

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin

_log = logging.getLogger("frappe_hooksig")

_View = TypeVar("_View", bound=Callable[..., Any])

# How much of a payload or an answer is shown, in bytes.
_SHOWN: Final = 4096
# Control characters, and those that change the direction of the text.
_UNSEEN: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)
_CONFIRMED: Final = re.compile("[0-9]{1,18}")
_EMPTY: Final = "-"


def _outside_of_transactions(view: _View) -> _View:
    """Leave a view out of ATOMIC_REQUESTS: the outbox commits on connections of its own.

    In SQLite, it would wait for the transaction around the view, which waits for it.
    """
    for alias in connections:
        view = transaction.non_atomic_requests(alias)(view)
    return view


class _StateFilter(admin.SimpleListFilter):
    """Filters deliveries by their state."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        return [(str(each), str(each)) for each in DeliveryState]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:  # noqa: ARG002
        wanted = [int(each) for each in DeliveryState if str(each) == self.value()]
        return queryset.filter(state__in=wanted) if wanted else queryset


class _EndpointStateFilter(admin.SimpleListFilter):
    """Filters endpoints by their state."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        return [(each, each) for each in ("active", "paused", "disabled")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:  # noqa: ARG002
        return queryset.filter(state=self.value()) if self.value() else queryset


class _EndpointFilter(admin.SimpleListFilter):
    """Filters deliveries by their endpoint."""

    title = "endpoint"
    parameter_name = "endpoint"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        found = Endpoint.objects.using(_alias()).order_by("created_at", "id")
        return [(each.id, str(each)) for each in found]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:  # noqa: ARG002
        return queryset.filter(endpoint=self.value()) if self.value() else queryset


class _ReadOnly(_ModelAdmin):
    """Shows rows to those with the permission to view them, and changes none."""

    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).using(_alias())

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return self.get_fields(request, obj)

    def lookup_allowed(self, lookup: str, value: Any, request: Any = None) -> bool:  # noqa: ARG002
        # By others, such as url__startswith, somebody could find out what they are not shown.
        return lookup in {getattr(each, "parameter_name", "") for each in self.list_filter}

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_configured() and super().has_module_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        # The permission to change is that of the actions. Nobody gets a form.
        return is_configured() and super().has_view_permission(request, obj)

    def has_add_permission(self, request: HttpRequest, *_: Any) -> bool:  # noqa: ARG002
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002
        return False

    def has_act_permission(self, request: HttpRequest) -> bool:
        """Whether somebody may use the actions."""
        return _may(request, "change", self.model)

    @_outside_of_transactions
    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        return super().changelist_view(request, extra_context)

    @admin.display(description="created", ordering="created_at")
    def created(self, row: Any) -> object:
        """When it was made."""
        return time_of(row.created_at)


@admin.register(Endpoint)
class EndpointAdmin(_ReadOnly):
    """Endpoints: their states, pausing and resuming."""

    list_display = ("__str__", "tenant", "state", "reason", "failing", "failures", "created")
    list_filter = (_EndpointStateFilter,)
    search_fields = ("id__exact", "tenant__exact")
    ordering = ("created_at", "id")
    actions = ("pause", "resume", "send_test")

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:  # noqa: ARG002
        """Choose what somebody may see."""
        return (
            "id",
            # The path may have a token.
            "url" if self.has_act_permission(request) else "host",
            *("tenant", "gets", "signed", "in_format", "further_headers", "pace"),
            *("state", "reason", "message", "failing", "failures", "created"),
        )

    @admin.display(description="failing since", ordering="failing_since")
    def failing(self, endpoint: Endpoint) -> object:
        """When its attempts began to fail."""
        return time_of(endpoint.failing_since)

    @admin.display(description="event types")
    def gets(self, endpoint: Endpoint) -> str:
        """What it gets."""
        return ", ".join(_record(endpoint).event_types)

    @admin.display(description="signed by")
    def signed(self, endpoint: Endpoint) -> str:
        """How its requests are signed, and where the secrets are."""
        record = _record(endpoint)
        return f"{record.scheme}, secret from {', '.join(record.secret_from)}"

    @admin.display(description="format")
    def in_format(self, endpoint: Endpoint) -> str:
        """Return the name of the format of its requests."""
        return _record(endpoint).format or _EMPTY

    def further_headers(self, endpoint: Endpoint) -> str:
        """Return the names of its further headers."""
        return ", ".join(_record(endpoint).header_names) or _EMPTY

    def pace(self, endpoint: Endpoint) -> str:
        """Return how much it gets at once."""
        record = _record(endpoint)
        rate = "" if record.rate is None else f", {record.rate:g} in a second"
        order = ", in the order of each key" * (record.order == "key")
        return f"{record.concurrency} at once{rate}{order}"

    @admin.action(permissions=["act"], description="Pause the selected endpoints")
    def pause(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> None:
        """Pause endpoints."""
        outbox, _ = configured_outbox()
        why = f"paused in the admin by {request.user.get_username()}"
        self._each(request, queryset, lambda each: outbox.pause(each, why), "paused")

    @admin.action(permissions=["act"], description="Resume the selected endpoints")
    def resume(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> None:
        """Resume endpoints."""
        outbox, _ = configured_outbox()
        self._each(request, queryset, outbox.resume, "resumed")

    @admin.action(permissions=["act"], description="Send a test to the selected active endpoints")
    def send_test(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> None:
        """Send a test to each endpoint that is active."""
        outbox, _ = configured_outbox()
        self._each(request, queryset, lambda each: outbox.send_test(each) > 0, "sent a test")

    def _each(
        self,
        request: HttpRequest,
        queryset: QuerySet[Endpoint],
        act: Callable[[str], bool],
        done: str,
    ) -> None:
        count = 0
        several = list(queryset)
        for each in several:
            try:
                is_done = act(each.id)
            except ConfigurationError:  # it was deleted meanwhile, or gets no test
                continue
            if is_done:
                count += 1
                self.log_change(request, each, f"It was {done}.")
        text = f"{count} of {len(several)} endpoints were {done}."
        self.message_user(request, text, messages.SUCCESS)


@admin.register(Message)
class MessageAdmin(_ReadOnly):
    """Messages: what was published."""

    list_display = ("id", "event_type", "tenant", "key", "size", "created", "routed")
    search_fields = ("id__exact", "event_type__exact", "key__exact", "idempotency_key__exact")
    ordering = ("-seq",)
    sortable_by = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Leave out the payload, which a list does not show."""
        return super().get_queryset(request).defer("payload")

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:  # noqa: ARG002
        """Choose what somebody may see."""
        return (
            *("id", "event_type", "tenant", "key", "idempotency_key", "created", "routed"),
            *("deliveries", "size", "content"),
        )

    @admin.display(boolean=True)
    def routed(self, message: Message) -> bool:
        """Whether its deliveries exist."""
        return bool(message.is_routed)

    def deliveries(self, message: Message) -> str:
        """Return a link to its deliveries."""
        site = self.admin_site.name
        path = reverse("admin:frappe_hooksig_delivery_changelist", current_app=site)
        return format_html('<a href="{}?q={}">deliveries</a>', path, message.id)

    @admin.display(description="payload")
    def content(self, message: Message) -> str:
        """Return the start of the payload."""
        return _text(message.payload)


@admin.register(Delivery)
class DeliveryAdmin(_ReadOnly):
    """Deliveries: what became of them, and sending them once more."""

    list_display = (
        *("sent_as", "event_type", "to", "status_of", "attempts", "status", "reason"),
        *("due", "ended"),
    )
    list_filter = (_StateFilter, _EndpointFilter)
    search_fields = ("sent_as__exact", "message__id__exact", "message__event_type__exact")
    ordering = ("-id",)
    sortable_by = ()
    actions = ("send_again", "send_as_new")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Leave out the payload, which a list does not show."""
        found = super().get_queryset(request).select_related("message", "endpoint")
        return found.defer("message__payload")

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:  # noqa: ARG002
        """Choose what somebody may see."""
        return (
            *("id", "sent_as", "event_type", "of", "to", "status_of", "status", "reason"),
            *("problem", "lost", "created", "due", "ended", "history"),
            *(("content",) if _may(request, "view", Message) else ()),
        )

    def event_type(self, delivery: Delivery) -> str:
        """Return the event type of its message."""
        return delivery.message.event_type

    @admin.display(description="message")
    def of(self, delivery: Delivery) -> str:
        """Return the id of its message."""
        return delivery.message.id

    @admin.display(description="endpoint")
    def to(self, delivery: Delivery) -> str:
        """Return its endpoint."""
        return str(delivery.endpoint or "a deleted endpoint")

    @admin.display(description="state")
    def status_of(self, delivery: Delivery) -> str:
        """Return the name of its state."""
        return str(DeliveryState(delivery.state))

    def due(self, delivery: Delivery) -> object:
        """Return when it is to be sent, unless it has ended."""
        return None if DeliveryState(delivery.state).is_final else time_of(delivery.due_at)

    def ended(self, delivery: Delivery) -> object:
        """Return when it was delivered or given up."""
        return time_of(delivery.ended_at)

    @admin.display(description="attempts")
    def history(self, delivery: Delivery) -> str:
        """Return its attempts, with what the receiver has answered."""
        found = Attempt.objects.using(_alias()).filter(delivery=delivery.id).order_by("number")
        return format_html_join(
            "",
            "<p>{}. {}: {} {} {} ({} ms, {})<br>{}</p>{}",
            (
                (
                    *(each.number, time_of(each.started_at), each.outcome, each.status or ""),
                    *(each.reason, each.took_ms, each.address or "no address", each.problem),
                    _text(each.answer),
                )
                for each in found
            ),
        )

    @admin.display(description="payload")
    def content(self, delivery: Delivery) -> str:
        """Return the start of the payload."""
        return _text(delivery.message.payload)

    @admin.action(permissions=["act"], description="Send again, with the same id")
    def send_again(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> HttpResponse | None:
        """Send deliveries once more; who has had one does nothing."""
        return self._send(request, queryset, "send_again")

    @admin.action(permissions=["act"], description="Send as new, with a new id")
    def send_as_new(
        self, request: HttpRequest, queryset: QuerySet[Delivery]
    ) -> HttpResponse | None:
        """Send deliveries once more; receivers handle them again."""
        return self._send(request, queryset, "send_as_new")

    def _send(
        self, request: HttpRequest, queryset: QuerySet[Delivery], way: str
    ) -> HttpResponse | None:
        ended = [int(each) for each in DeliveryState if each.is_final]
        chosen = queryset.filter(state__in=ended, endpoint__state__isnull=False).order_by("id")
        confirmed = str(request.POST.get("confirmed"))
        if not _CONFIRMED.fullmatch(confirmed):
            return self._question(request, queryset.count(), chosen, way)
        # What has ended since the question was asked is not meant.
        ids = [*chosen.filter(id__lte=int(confirmed)).values_list("id", flat=True)]
        outbox, database = configured_outbox()
        count = send_each(database, ids, WAYS[way])
        outbox.ring()
        _log.info("outbox: user %s in the admin: %s, %s deliveries", request.user.pk, way, count)
        self.message_user(request, f"{count} deliveries are sent.", messages.SUCCESS)
        return None

    def _question(
        self, request: HttpRequest, selected: int, chosen: QuerySet[Delivery], way: str
    ) -> HttpResponse:
        count = chosen.count()
        newest = chosen.last()
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "title": "Are you sure?",
            "opts": self.opts,
            "way": way,
            "count": count,
            "left": selected - count,
            "newest": newest.id if newest else 0,
            "checkbox": ACTION_CHECKBOX_NAME,
            "ids": request.POST.getlist(ACTION_CHECKBOX_NAME),
            "across": request.POST.get("select_across", ""),
        }
        return TemplateResponse(request, "admin/frappe_hooksig/confirm.html", context)


def _alias() -> str:
    _, database = configured_outbox()
    return database.using


def _record(endpoint: Endpoint) -> Any:
    """Return what the outbox tells of an endpoint, on the connection of the view."""
    _, database = configured_outbox()
    adopted = database.adopted(connections[database.using])
    return endpoint_row(adopted, endpoint.id).endpoint


def _may(request: HttpRequest, what: str, model: type[Model]) -> bool:
    user: Any = request.user
    return bool(user.has_perm(f"frappe_hooksig.{what}_{model.__name__.lower()}"))


def _text(content: bytes | memoryview) -> str:
    """Return the start of what was sent or answered, as text."""
    start = bytes(content[:_SHOWN]).decode("utf-8", "replace")
    left = len(content) - _SHOWN
    shown = _UNSEEN.sub("\ufffd", start) + f"\n... {left} bytes more" * (left > 0)
    return format_html("<pre>{}</pre>", shown)
