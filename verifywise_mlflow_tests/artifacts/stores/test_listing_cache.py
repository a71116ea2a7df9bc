"""Whatever is asked for, in whatever order, the answer is what the bucket holds, for few requests."""

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
    """A bucket that lists so many keys a page, from any key on."""

    keys: list[str]
    page_size: int
    requests: int = 0

    def page(self, start: str) -> tuple[list[StoredObject], bool]:
        self.requests += 1
        found = [key for key in sorted(self.keys) if key >= start]
        return [StoredObject(key, 1) for key in found[: self.page_size]], len(found) <= self.page_size


def below(known: ListingCache, store: SortedStore, folder: str) -> list[str]:
    while (found := known.lookup(folder)).resume is not None:
        objects, is_last = store.page(found.resume)
        assert known.add_page(found.resume, objects, is_last=is_last)
    return [entry.key for entry in found.objects]


@given(st.sets(NAMES), FOLDERS, st.integers(2, 5))
def test_each_folder_has_the_keys_that_begin_with_it(keys: set[str], folders: list[str], page_size: int) -> None:
    store, known = SortedStore(list(keys), page_size), ListingCache()

    for folder in folders:
        assert below(known, store, folder) == sorted(key for key in keys if key.startswith(folder))


@given(st.sets(NAMES), FOLDERS)
def test_forgetting_loses_nothing_but_time(keys: set[str], folders: list[str]) -> None:
    store, known = SortedStore(list(keys), 2), ListingCache(max_objects=len(keys) + 2)

    for folder in folders:
        assert below(known, store, folder) == sorted(key for key in keys if key.startswith(folder))


def test_all_versions_of_a_bucket_cost_its_objects_divided_by_the_page() -> None:
    folders = [f"run-{number:03}/model/" for number in range(500)]
    store = SortedStore([f"{folder}{name}" for folder in folders for name in "abcdef"], 1000)
    known = ListingCache()

    for folder in folders:
        assert len(below(known, store, folder)) == 6

    assert store.requests == 4  # the last key of a page is the first one of the next


def test_one_version_in_a_large_bucket_costs_one_request() -> None:
    store = SortedStore([f"run-{number:05}/x" for number in range(20_000)], 1000)

    assert below(ListingCache(), store, "run-07000/") == ["run-07000/x"]
    assert store.requests == 1


def test_what_a_sync_remembers_is_bounded() -> None:
    store = SortedStore([f"run-{number:05}/x" for number in range(5_000)], 100)
    known = ListingCache(max_objects=400)

    for number in range(0, 5_000, 10):
        assert below(known, store, f"run-{number:05}/") == [f"run-{number:05}/x"]
        assert sum(len(stretch.objects) for stretch in known._stretches) <= 400

    assert store.requests <= 51


def test_a_listing_that_is_out_of_order_is_not_believed() -> None:
    known = ListingCache()

    assert not known.add_page("m/", [StoredObject("m/b", 1), StoredObject("m/a", 1)], is_last=True)
    assert not known.add_page("m/", [StoredObject("m/a", 1), StoredObject("m/a", 1)], is_last=True)
    assert not known.add_page("m/", [StoredObject("a", 1)], is_last=True)
    assert not known.add_page("m/", [], is_last=False)
    assert known.lookup("m/").resume == "m/"
