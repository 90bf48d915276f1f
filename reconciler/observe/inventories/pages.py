"""Lists of a Cloud Controller (v3), whole or not at all (does I/O).

A page names the next one by an address. Only one of this API and of this list is followed, so that
no answer can lead a token to another server. Pages are cut by numbers, not by a snapshot: what is
deleted on a page that was read moves the rest, and one object falls between two pages. So a list
of several pages is read twice, and must be the same both times.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlencode, urlsplit

from reconciler.kubeerrors import KubeError
from reconciler.model.clusters import Why
from reconciler.observe import parse
from reconciler.rest import Request, Rest
from reconciler.uaa import Client, Tokens

PER_PAGE = 500
MOST = 100_000
"""Objects in one list."""
Json = parse.Json


class Pages:
    """Lists of one API, as one client."""

    def __init__(self, api: Rest, client: Client, tokens: Tokens) -> None:
        self._api = api
        self._client = client
        self._tokens = tokens

    async def all(
        self, path: str, query: Mapping[str, str] | None = None
    ) -> list[Json]:
        """All objects of a list. Raises KubeError unless it is whole."""
        order = {"order_by": "created_at", "per_page": str(PER_PAGE)}
        asked = urlencode({**(query or {}), **order}, quote_via=quote, safe=",")
        first = f"{path}?{asked}"
        found, pages = await self._through(path, first)
        if pages > 1:
            again, _ = await self._through(path, first)
            if again.keys() != found.keys():
                raise self._broken(path, "it changed while its pages were read")
            found = again
        return list(found.values())

    async def _through(self, path: str, first: str) -> tuple[dict[str, Json], int]:
        found: dict[str, Json] = {}
        pages, total, where = 0, 0, first
        while where:
            body = parse.mapping(await self._get(where))
            pagination = parse.mapping(body.get("pagination"))
            said, listed = pagination.get("total_results"), body.get("resources")
            if not isinstance(said, int) or not isinstance(listed, list) or said < 0:
                raise self._broken(path, "the answer is no page of a list")
            if pages and said != total:
                raise self._broken(path, "it changed while its pages were read")
            pages, total = pages + 1, said
            self._add(path, found, listed, total)
            where = self._next(path, pagination)
            if where and not listed:
                raise self._broken(path, "an empty page is not the last one")
        if len(found) != total:
            what = f"{len(found)} of {total} objects are there"
            raise self._broken(path, what)
        return found, pages

    def _add(
        self, path: str, found: dict[str, Json], listed: list[object], total: int
    ) -> None:
        for each in listed:
            body = parse.mapping(each)
            guid = parse.text(body.get("guid"))
            if not guid or guid in found:
                raise self._broken(path, "an object has no guid, or is there twice")
            found[guid] = body
        if len(found) > min(total, MOST):
            what = f"more objects than it says, or more than {MOST}"
            raise self._broken(path, what)

    def _next(self, path: str, pagination: Json) -> str:
        """Path and query of the next page; empty after the last one."""
        if "next" not in pagination:
            raise self._broken(path, "it does not say whether there is a next page")
        link = pagination["next"]
        if link is None:
            return ""
        href = parse.text(parse.mapping(link).get("href"))
        try:
            url = urlsplit(href)
            here = urlsplit(self._api.address)
            same = (url.scheme, url.netloc) == (here.scheme, here.netloc)
        except ValueError:
            same = False
        if not same or url.path != path or not url.query:
            what = "its next page is at another address, which is never followed"
            raise KubeError(what, self._where(path), why=Why.UNREADABLE)
        return f"{url.path}?{url.query}"

    async def _get(self, path: str) -> object:
        """What the API says; a token that it no longer takes is renewed once."""
        token = await self._tokens.current(self._client)
        try:
            return await self._api.json(Request(path=path, authorisation=token))
        except KubeError as exc:
            if exc.why is not Why.UNAUTHORISED:
                raise
        token = await self._tokens.renewed(self._client)
        return await self._api.json(Request(path=path, authorisation=token))

    def _where(self, path: str) -> str:
        return f"{self._api.name}: {path}"

    def _broken(self, path: str, what: str) -> KubeError:
        return KubeError(what, self._where(path), why=Why.INCOMPLETE)
