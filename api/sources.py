"""What of the books can be watched, as the fan-out takes it: whole books, and their changes."""

from __future__ import annotations

from collections.abc import Callable

from api.books import NOWHERE, BookEvent, Books, Place
from api.fanout import Audience, State
from api.ladder import BookPicture


class WholeBooks(State[BookPicture, int]):
    """The newest picture of one book, again and again. A place is the version of the picture seen last."""

    def __init__(self, books: Books, certificate_type: str) -> None:
        super().__init__(("books", certificate_type), Audience.EVERYBODY)
        self._book = books.book(certificate_type)

    async def start(self) -> tuple[int, None]:
        return 0, None

    def here(self) -> int:
        return self._book.version

    def next(self, place: int) -> tuple[BookPicture, int] | None:
        book = self._book
        if book.picture is None or place == book.version:
            return None
        return book.picture, book.version

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        self._book.on_show.add(wake)
        return lambda: self._book.on_show.discard(wake)


class BookChanges(State[BookEvent, Place]):
    """A whole book, then what changes: the first thing told depends on what was seen before."""

    def __init__(
        self, books: Books, certificate_type: str, after: int | None, own_variables: frozenset[str] = frozenset()
    ) -> None:
        super().__init__(("changes", certificate_type), Audience.EVERYBODY, own_variables)
        self._books = books
        self._book = books.book(certificate_type)
        self._after = after

    async def start(self) -> tuple[Place, tuple[BookEvent, Place] | None]:
        if self._after is None:
            return NOWHERE, None
        return await self._books.resume(self._book.certificate_type, self._after)

    def here(self) -> Place:
        return self._book.here

    def next(self, place: Place) -> tuple[BookEvent, Place] | None:
        return self._book.next(place)

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        self._book.on_tell.add(wake)
        return lambda: self._book.on_tell.discard(wake)
