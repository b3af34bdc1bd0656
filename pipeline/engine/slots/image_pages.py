"""Hands out pages for images' keys and values: requests about the same image use the same ones. Knows no torch."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from sightstream.pipeline.engine.slots.block_allocator import BlockAllocator


@dataclass(slots=True, eq=False)
class HeldImage:
    """An image's pages, one for each tile that is computed. `users` is how many requests hold it.

    Tiles that the image does not have are computed too: text before the image attends to them, as in the stock model.
    `is_filled` says that the work that fills the pages was launched. Without a key no other request can use it.
    """

    key: Hashable | None
    pages: list[int]
    users: int = 1
    is_filled: bool = False


class ImagePages:
    """Gives out pages 1 to `count` - 1; page 0 has no owner.

    An image with a key keeps its pages when nobody holds it any more, for further questions about it, until others
    need them: those of the least recently held image go first.
    """

    def __init__(self, count: int) -> None:
        self._blocks = BlockAllocator(count)
        self._images: dict[Hashable, HeldImage] = {}  # those with a key, the least recently held first

    def __len__(self) -> int:
        """Return how many pages can be had: the free ones, and those of images that nobody holds."""
        return len(self._blocks) + sum(len(image.pages) for image in self._images.values() if not image.users)

    def is_held(self, key: Hashable | None) -> bool:
        """Return whether a request holds the image: another one about it then needs no further pages."""
        return key is not None and key in self._images and self._images[key].users > 0

    def is_kept(self, key: Hashable | None) -> bool:
        """Return whether the image has pages, held or not."""
        return key is not None and key in self._images

    def hold(self, key: Hashable | None, count: int) -> HeldImage:
        """Return the image's pages: its own or, for a new one, `count` others.

        The caller makes sure that so many can be had, and releases them.
        """
        if key is None or key not in self._images:
            return self._add(key, count)
        image = self._images[key] = self._images.pop(key)  # the most recently held now
        image.users += 1
        return image

    def release(self, image: HeldImage) -> None:
        """End one request's use of the image."""
        image.users -= 1
        if image.key is None:
            self._blocks.free(image.pages)

    def check_integrity(self, held: Iterable[HeldImage]) -> None:
        """Check each block's and each image's users, where `held` names an image once for each. Raises RuntimeError."""
        users = [*held]
        images = {id(image): image for image in [*self._images.values(), *users]}.values()
        wrong = [image.key for image in images if image.users != users.count(image)]
        if wrong:
            raise RuntimeError(f"images with more or fewer users than are counted: {wrong}")
        self._blocks.check_integrity(page for image in images for page in image.pages)

    def _add(self, key: Hashable | None, count: int) -> HeldImage:
        self._evict(count)
        image = HeldImage(key, self._blocks.allocate(count))
        if key is not None:
            self._images[key] = image
        return image

    def _evict(self, count: int) -> None:
        """Free pages of images that nobody holds until `count` are free."""
        for image in [image for image in self._images.values() if not image.users]:
            if len(self._blocks) >= count:
                return
            del self._images[image.key]
            self._blocks.free(image.pages)
