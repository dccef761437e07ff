"""The small parts that pages are made of: icons, pills, avatars."""

from __future__ import annotations

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from trueup.control.templatetags.words import state_words

register = template.Library()
_PATHS = {
    "inbox": '<path d="M2 9.5 4 3.5h8l2 6v3.5H2zM2 9.5h3.5l1 1.5h3l1-1.5H14"/>',
    "portfolio": '<rect x="2.5" y="2.5" width="4.5" height="4.5" rx="1"/><rect x="9" y="2.5" width="4.5" height="4.5" '
    'rx="1"/><rect x="2.5" y="9" width="4.5" height="4.5" rx="1"/><rect x="9" y="9" width="4.5" height="4.5" rx="1"/>',
    "menu": '<path d="M2.5 4.5h11M2.5 8h11M2.5 11.5h11"/>',
    "good": '<circle cx="8" cy="8" r="5.8"/><path d="m5.4 8.2 1.8 1.8 3.4-3.8"/>',
    "warn": '<path d="M8 2.4 14.2 13H1.8zM8 6.6v3M8 11.3v.1"/>',
    "bad": '<path d="M5.3 2h5.4L14 5.3v5.4L10.7 14H5.3L2 10.7V5.3zM8 5v3.6M8 10.8v.1"/>',
    "idle": '<circle cx="8" cy="8" r="5.6" stroke-dasharray="2.4 2.2"/>',
    "info": '<circle cx="8" cy="8" r="5.8"/><path d="M8 4.8V8l2.2 1.4"/>',
    "search": '<circle cx="7" cy="7" r="4.2"/><path d="m10.2 10.2 3.3 3.3"/>',
    "people": '<circle cx="6" cy="5.5" r="2.3"/><path d="M1.8 13c.4-2.6 2-4 4.2-4s3.8 1.4 4.2 4"/>',
    "services": '<rect x="2.5" y="3" width="11" height="4" rx="1"/><rect x="2.5" y="9" width="11" height="4" rx="1"/>'
    '<path d="M5 5h.01M5 11h.01" stroke-width="2"/>',
    "releases": '<path d="M8 2.5v7M5 5.2l3-2.8 3 2.8M3 9.5v3.5h10V9.5"/>',
    "tick": '<path d="m3.5 8.5 3 3 6-7"/>',
    "pen": '<path d="M3 13l.7-3L10.5 3.2l2.3 2.3L6 12.3z"/>',
    "shield": '<path d="M8 2 13 3.8v4c0 3-2.2 5.2-5 6.2-2.8-1-5-3.2-5-6.2v-4z"/>',
    "theme": '<circle cx="8" cy="8" r="2.8"/><path d="M8 1.8v1.4M8 12.8v1.4M1.8 8h1.4M12.8 8h1.4M3.6 3.6l1 1"/>'
    '<path d="M11.4 11.4l1 1M12.4 3.6l-1 1M4.6 11.4l-1 1"/>',
    "out": '<path d="M9.5 3H3.5v10h6M6.5 8h7M11 5.5 13.5 8 11 10.5"/>',
    "plus": '<path d="M8 3v10M3 8h10"/>',
    "print": '<path d="M4.5 6V2.5h7V6M4.5 11.5H2.5V6h11v5.5h-2M4.5 9.5h7v4h-7z"/>',
}
_KINDS = {"approved": "good", "rejected": "bad", "abandoned": "idle", "not_started": "idle"}


@register.simple_tag
def icon(name: str, size: str = "", label: str = "") -> SafeString:
    """Return an icon; with a label it means something, without one it is decoration."""
    meaning = format_html('role="img" aria-label="{}"', label) if label else mark_safe('aria-hidden="true"')
    paths = mark_safe(_PATHS[name])  # noqa: S308  # ours
    return format_html('<svg class="icon {}" viewBox="0 0 16 16" {}>{}</svg>', size, meaning, paths)


@register.simple_tag
def pill(kind: str, words: str) -> SafeString:
    """Return a status: its shape, its colour and its word."""
    return format_html('<span class="pill {}">{}{}</span>', kind, icon(kind), words)


@register.filter
def state_pill(state: str) -> SafeString:
    """Return the state of a sign-off: its shape, its colour and its words."""
    return pill(_KINDS.get(state, "warn"), state_words(state))


@register.simple_tag
def avatar(name: str, size: str = "") -> SafeString:
    """Return a person's initials in a circle whose colour stays theirs."""
    words = [word for word in name.split() if word[:1].isalpha()]
    initials = (words[0][:1] + (words[-1][:1] if len(words) > 1 else "")).upper() if words else "?"
    colour = ("", "b", "c", "d", "e")[sum(map(ord, name)) % 5]
    return format_html('<span class="ava {} {}" aria-hidden="true">{}</span>', colour, size, initials)


@register.inclusion_tag("control/mark.html")
def mark() -> dict[str, str]:
    """Return the mark of the product."""
    return {}
