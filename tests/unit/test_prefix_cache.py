from catena.context.chain import ChainTurn, Link, Writer, link_turn
from catena.ids import TurnIds
from catena.prefix import PrefixCache


def link(tree: str, number: int, parent: Link | None = None, size: int = 1000) -> Link:
    turn_id = TurnIds(f"{tree}0000000001{number:020x}").turn("resp_")
    return link_turn(parent, ChainTurn(turn_id, "m", [], []), Writer(lambda _: b"x" * size))


def test_a_link_is_found_again_with_its_ancestors() -> None:
    cache = PrefixCache(10_000)
    root = link("a" * 16, 1)
    tip = link("a" * 16, 2, root)
    cache.put("p", "a" * 16, "chat", tip)
    assert cache.get("p", "a" * 16, "chat", tip.turn_id) is tip
    assert cache.get("p", "a" * 16, "chat", root.turn_id) is root


def test_another_project_or_dialect_finds_nothing() -> None:
    cache = PrefixCache(10_000)
    root = link("a" * 16, 1)
    cache.put("p", "a" * 16, "chat", root)
    assert cache.get("q", "a" * 16, "chat", root.turn_id) is None
    assert cache.get("p", "a" * 16, "responses", root.turn_id) is None


def test_shared_ancestors_are_counted_once() -> None:
    cache = PrefixCache(100_000)
    root = link("a" * 16, 1)
    for number in range(2, 12):
        cache.put("p", "a" * 16, "chat", link("a" * 16, number, root))
    assert cache.bytes == 11 * root.size


def test_the_least_recently_used_tree_goes_first_and_all_bytes_come_back() -> None:
    cache = PrefixCache(3 * link("a" * 16, 1).size)
    links = {tree: link(tree * 16, 1) for tree in "abcd"}
    for tree in "abc":
        cache.put("p", tree * 16, "chat", links[tree])
    assert cache.get("p", "a" * 16, "chat", links["a"].turn_id)
    cache.put("p", "d" * 16, "chat", links["d"])
    assert cache.get("p", "b" * 16, "chat", links["b"].turn_id) is None
    assert cache.get("p", "a" * 16, "chat", links["a"].turn_id) is links["a"]
    for tree in "acd":
        cache.forget("p", tree * 16)
    assert cache.bytes == 0


def test_a_new_turn_does_not_bring_back_what_was_deleted_while_it_was_made() -> None:
    cache = PrefixCache(100_000)
    root = link("a" * 16, 1)
    cache.put("p", "a" * 16, "chat", root)
    cache.forget("p", "a" * 16)
    cache.grow("p", "a" * 16, "chat", link("a" * 16, 2, root))
    assert not cache.has("p", "a" * 16)
    assert cache.bytes == 0
    again = link("a" * 16, 1)
    cache.put("p", "a" * 16, "chat", again)
    cache.grow("p", "a" * 16, "chat", link("a" * 16, 2, root))
    assert cache.bytes == again.size
    cache.grow("p", "a" * 16, "chat", link("a" * 16, 2, again))
    assert cache.bytes == 2 * again.size


def test_a_tree_that_is_too_large_is_not_kept() -> None:
    cache = PrefixCache(100)
    cache.put("p", "a" * 16, "chat", link("a" * 16, 1))
    assert cache.bytes == 0
