"""The listing cache returns the keys of the bucket for any folders in any order, with few requests."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.artifacts.stores.listing_cache import ListingCache
from verifywise_mlflow.artifacts.stores.protocol import StoredObject

NAMES = st.text(st.sampled_from("ab-.0/é😀"), min_size=1, max_size=6)
FOLDERS = st.lists(NAMES.map(lambda name: f"{name.strip('/')}/").filter(lambda folder: folder != "/"), max_size=12)


@dataclass
class SortedStore:
    """A bucket that lists ``page_size`` keys per page, starting at any key."""

    keys: list[str]
    page_size: int
    requests: int = 0

    def page(self, start: str) -> tuple[list[StoredObject], bool]:
        self.requests += 1
        listed = [key for key in sorted(self.keys) if key >= start]
        return [StoredObject(key, 1) for key in listed[: self.page_size]], len(listed) <= self.page_size


def list_folder(cache: ListingCache, store: SortedStore, folder: str) -> list[str]:
    while (cached := cache.lookup(folder)).resume is not None:
        objects, is_last = store.page(cached.resume)
        assert cache.add_page(cached.resume, objects, is_last=is_last)
    return [item.key for item in cached.objects]


@given(st.sets(NAMES), FOLDERS, st.integers(2, 5))
def test_each_folder_has_the_keys_that_begin_with_it(keys: set[str], folders: list[str], page_size: int) -> None:
    store, cache = SortedStore(list(keys), page_size), ListingCache()

    for folder in folders:
        assert list_folder(cache, store, folder) == sorted(key for key in keys if key.startswith(folder))


@given(st.sets(NAMES), FOLDERS)
def test_eviction_costs_requests_but_loses_no_keys(keys: set[str], folders: list[str]) -> None:
    store, cache = SortedStore(list(keys), 2), ListingCache(max_objects=len(keys) + 2)

    for folder in folders:
        assert list_folder(cache, store, folder) == sorted(key for key in keys if key.startswith(folder))


def test_all_versions_of_a_bucket_cost_one_request_per_page_of_objects() -> None:
    folders = [f"run-{number:03}/model/" for number in range(500)]
    store = SortedStore([f"{folder}{name}" for folder in folders for name in "abcdef"], 1000)
    cache = ListingCache()

    for folder in folders:
        assert len(list_folder(cache, store, folder)) == 6

    assert store.requests == 4  # pages overlap by one key


def test_one_version_in_a_large_bucket_costs_one_request() -> None:
    store = SortedStore([f"run-{number:05}/x" for number in range(20_000)], 1000)

    assert list_folder(ListingCache(), store, "run-07000/") == ["run-07000/x"]
    assert store.requests == 1


def test_the_size_of_the_cache_is_bounded() -> None:
    store = SortedStore([f"run-{number:05}/x" for number in range(5_000)], 100)
    cache = ListingCache(max_objects=400)

    for number in range(0, 5_000, 10):
        assert list_folder(cache, store, f"run-{number:05}/") == [f"run-{number:05}/x"]
        assert sum(len(key_range.objects) for key_range in cache._ranges) <= 400

    assert store.requests <= 51


def test_an_unsorted_listing_is_not_cached() -> None:
    cache = ListingCache()

    assert not cache.add_page("m/", [StoredObject("m/b", 1), StoredObject("m/a", 1)], is_last=True)
    assert not cache.add_page("m/", [StoredObject("m/a", 1), StoredObject("m/a", 1)], is_last=True)
    assert not cache.add_page("m/", [StoredObject("a", 1)], is_last=True)
    assert not cache.add_page("m/", [], is_last=False)
    assert cache.lookup("m/").resume == "m/"
