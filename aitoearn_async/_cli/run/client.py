"""The client and the fleet that the environment and the options describe."""

from __future__ import annotations

import os
import ssl
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from aitoearn_async import Client

from ..language import tr
from ..options.groups import BASE_URL, KEY, MediaOptions, RateOptions, ServiceOptions
from ..options.names import in_option_names
from ..report.echo import echo_error

if TYPE_CHECKING:
    from aitoearn_async.fleet import Fleet

_KEY_PAGE = "https://docs.aitoearn.ai/en/use/api-key"
_ANY_KEY = "no-key"
"""The key that is sent where the service takes any."""


def client_from(
    service: ServiceOptions,
    media: MediaOptions | None = None,
    rates: RateOptions | None = None,
    *,
    needs_key: bool = True,
) -> Client:
    """Make the client that the environment and the options describe.

    Raises:
        click.UsageError: Something is missing or cannot be used.
    """
    more: dict[str, Any] = {"private_media": True} if media and media.private_media else {}
    if rates is not None:
        more |= {"concurrency": rates.concurrency, "requests_per_second": rates.rate}
    words = partial(_in_option_or_variable_names, service=service)
    with warnings.catch_warnings(record=True) as warned, usage_errors(words):
        warnings.simplefilter("always", UserWarning)
        client = Client(
            _key(is_needed=needs_key),
            base_url=service.base_url or None,
            language=service.language,
            proxy=service.proxy,
            trust_env=service.proxy is None,
            ssl=_ssl_context(service),
            **more,
        )
    for warning in warned:
        echo_error(tr("Warning: {text}").format(text=warning.message))
    return client


def fleet_from(url: str | None = None, **options: Any) -> Fleet:
    """Make the fleet that the environment and the options describe, with those of `Fleet`.

    Raises:
        click.UsageError: One of them cannot be used, or the engine's package is missing.
    """
    from aitoearn_async.fleet import Fleet, FleetError

    try:
        return Fleet(url or None, **options)
    except (ValueError, FleetError) as error:
        raise click.UsageError(in_option_names(str(error))) from None


@contextmanager
def usage_errors(words: Callable[[str], str] = in_option_names) -> Generator[None]:
    """Within this block, make `click.UsageError` of what the package refuses.

    Args:
        words: Puts its message into the words of the command line.
    """
    try:
        yield
    except (ValueError, ImportError) as error:
        raise click.UsageError(words(str(error))) from None


def _in_option_or_variable_names(text: str, service: ServiceOptions) -> str:
    """Return what is wrong with a value, by the name of the option or variable it is from."""
    text = in_option_names(text)
    if service.base_url == os.environ.get(BASE_URL):
        text = text.replace("--base-url", BASE_URL)
    if service.proxy is None:
        plain = (service.base_url or "").startswith("http:")
        text = text.replace("--proxy", "HTTP_PROXY" if plain else "HTTPS_PROXY")
    return text


def _key(*, is_needed: bool) -> str:
    key = os.environ.get(KEY, "")
    if key != key.strip():
        problem = tr(
            "{variable} begins or ends with a blank or a line break (was it read from a file?)"
        )
        raise click.UsageError(problem.format(variable=KEY))
    if is_needed and not key:
        problem = tr(
            "{variable} is not set. Put the API key of your AiToEarn account into it: {page} "
            "says where it is. The command `demo` needs none."
        )
        raise click.UsageError(problem.format(variable=KEY, page=_KEY_PAGE))
    return key or _ANY_KEY


def _ssl_context(service: ServiceOptions) -> ssl.SSLContext | None:
    if service.ca is None:
        return None
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(service.ca)
        return context
    except ssl.SSLError:
        problem = tr("it is not a PEM file of certificates")
    except OSError as error:
        problem = error.strerror or tr("it cannot be read")
    raise click.BadParameter(f"{service.ca}: {problem}", param_hint="'--ca'")
