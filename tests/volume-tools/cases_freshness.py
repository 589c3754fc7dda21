"""Old copies, copies of other volumes, lost anchors: refused, with the way out named, and a way back that is never silent."""
import os
import re

from trees import write
from workshop import describe, expect, expect_refusal


def anchored(shop, *words):
    return ("--anchor", shop.path("anchor"), *words)


def volume_with_history(shop):
    """A volume with an anchor, and its copy from before the last import."""
    tree = shop.small_tree()
    volume = shop.create()
    expect(shop.call("import", *anchored(shop, volume, tree)))
    old = shop.copy(volume, shop.path("old"))
    write(tree + "/second", b"written later")
    expect(shop.call("import", *anchored(shop, volume, tree)))
    return volume, old


def case_newest_state_is_accepted_again_and_again(shop):
    volume, _ = volume_with_history(shop)
    for command in ("info", "verify", "ls"):
        expect(shop.call(command, *anchored(shop, volume)))
    expect(shop.call("diff", *anchored(shop, volume, shop.path("tree"))), 0, b"")
    assert shop.json("anchor", *anchored(shop, volume))["relation"] == "same"


def case_yesterdays_copy_is_refused_by_every_command(shop):
    volume, old = volume_with_history(shop)
    shop.copy(old, volume)
    for words in ([volume], [volume, shop.path("tree")]):
        for command in (("info", "verify", "ls") if len(words) == 1 else ("import", "diff", "export")):
            expect_refusal(shop.call(command, *anchored(shop, *words)), 1, volume, "older|rolled back")
    # The control: without its anchor nothing tells this copy from the newest state.
    expect(shop.call("info", volume))


def case_a_fork_of_the_volume_is_refused(shop):
    volume, old = volume_with_history(shop)
    shop.copy(old, volume)
    for number in range(3):  # the thief's copy goes on by itself, further than ours
        write(shop.path("tree", "forged-%d" % number), b"other history")
        expect(shop.call("import", volume, shop.path("tree")))
    expect_refusal(shop.call("info", *anchored(shop, volume)), 1, volume)


def case_another_volume_in_its_place_is_refused(shop):
    volume, _ = volume_with_history(shop)
    other = shop.volume_of(shop.path("tree"), "other")
    shop.copy(other, volume)
    expect_refusal(shop.call("info", *anchored(shop, volume)), 1)


def case_anchor_of_another_volume_is_refused(shop):
    volume, _ = volume_with_history(shop)
    other_key = shop.make_key("other-key")
    other = shop.create("other", key=other_key)
    expect(shop.call("import", "--anchor", shop.path("other-anchor"), other, shop.path("tree"), key=other_key))
    expect_refusal(shop.call("info", "--anchor", shop.path("other-anchor"), volume), 1, "other-anchor")


def case_damaged_anchor_is_refused_and_named(shop):
    volume, _ = volume_with_history(shop)
    with open(shop.path("anchor"), "rb") as file:
        content = file.read()
    for damaged in (content[:10], b"x" * len(content), bytes(len(content))):
        write(shop.path("anchor"), damaged)
        expect_refusal(shop.call("info", *anchored(shop, volume)), 1, "anchor")
    write(shop.path("anchor"), content)
    expect(shop.call("info", *anchored(shop, volume)))


def case_volume_that_went_on_without_its_anchor_is_accepted(shop):
    """It continues the anchored history: a crash between a commit and its anchor looks the same."""
    volume, _ = volume_with_history(shop)
    write(shop.path("tree", "third"), b"without anchor")
    expect(shop.call("import", volume, shop.path("tree")))
    result = shop.call("info", *anchored(shop, volume))
    if result.returncode == 0:
        assert shop.json("anchor", *anchored(shop, volume))["relation"] in ("ahead", "same")
    else:
        # The anchored record may have been folded into the tree meanwhile; then it must be said, with the way out.
        expect_refusal(result, 1, volume, "accept")


def case_accept_tells_the_loss_first_and_wants_the_state_named(shop):
    volume, old = volume_with_history(shop)
    shop.copy(old, volume)
    asked = shop.call("accept", *anchored(shop, volume))
    text = expect(asked, 1, stderr=b"").stdout.decode()
    assert "loses" in text and "nothing was changed" in text, text
    expect_refusal(shop.call("info", *anchored(shop, volume)), 1, "older|rolled back")
    state = re.search(r"--position (\S+)", text).group(1)
    wrong = ("0" if state[-1] != "0" else "1")
    result = shop.call("accept", *anchored(shop, "--position", state[:-1] + wrong, volume))
    assert b"is not in the state" in expect(result, 1).stderr, describe(result)
    expect_refusal(shop.call("accept", *anchored(shop, "--position", "nonsense", volume)), 2, "nonsense")
    expect_refusal(shop.call("info", *anchored(shop, volume)), 1, "older|rolled back")
    expect(shop.call("accept", *anchored(shop, "--position", state, volume)), 0, stderr=b"")
    expect(shop.call("info", *anchored(shop, volume)))
    assert b"second" not in expect(shop.call("ls", *anchored(shop, volume))).stdout
    expect(shop.call("import", *anchored(shop, volume, shop.path("tree"))))
    expect(shop.call("diff", *anchored(shop, volume, shop.path("tree"))), 0, b"")


def case_state_that_was_given_up_stays_refused(shop):
    """After accept the newest copy of before is the stale one."""
    volume, old = volume_with_history(shop)
    newest = shop.copy(volume, shop.path("newest"))
    shop.copy(old, volume)
    state = re.search(r"--position (\S+)", shop.call("accept", *anchored(shop, volume)).stdout.decode()).group(1)
    expect(shop.call("accept", *anchored(shop, "--position", state, volume)))
    expect(shop.call("import", *anchored(shop, volume, shop.path("tree"))))
    shop.copy(newest, volume)
    expect_refusal(shop.call("info", *anchored(shop, volume)), 1, volume)


def case_lost_anchor_can_be_set_again_by_hand(shop):
    volume, old = volume_with_history(shop)
    os.unlink(shop.path("anchor"))
    assert shop.json("anchor", *anchored(shop, volume))["relation"] == "nothing-anchored"
    expect(shop.call("anchor", "--set", *anchored(shop, volume)))
    assert shop.json("anchor", *anchored(shop, volume))["relation"] == "same"
    expect(shop.call("import", *anchored(shop, volume, shop.path("tree"))))
    shop.copy(old, volume)
    expect_refusal(shop.call("anchor", "--set", *anchored(shop, volume)), 1, volume)


def case_anchor_shows_an_older_volume_as_such(shop):
    volume, old = volume_with_history(shop)
    shop.copy(old, volume)
    result = shop.call("anchor", "--show", *anchored(shop, volume))
    assert b"OLDER" in expect(result, 1).stdout and b"accept" in result.stdout, describe(result)
    assert shop.json("anchor", *anchored(shop, volume))["relation"] == "behind"


def case_sealed_volume_is_accepted_by_its_root_tag(shop):
    volume, old = volume_with_history(shop)
    tag = expect(shop.call("seal", volume)).stdout.decode().strip()
    os.unlink(shop.path("anchor"))
    expect_refusal_of_tag(shop, volume, "0" * 64)
    expect(shop.call("accept", *anchored(shop, "--root-tag", tag, volume)), 0, stderr=b"")
    expect(shop.call("info", *anchored(shop, volume)))


def expect_refusal_of_tag(shop, volume, tag):
    result = shop.call("accept", *anchored(shop, "--root-tag", tag, volume))
    assert b"is not in the state" in expect(result, 1).stderr, describe(result)


def case_anchor_in_a_missing_directory_is_named(shop):
    volume = shop.volume_of(shop.small_tree())
    result = shop.call("import", "--anchor", shop.path("missing", "anchor"), volume, shop.path("tree"))
    assert result.returncode in (1, 125) and b"missing" in result.stderr, describe(result)
    expect(shop.call("verify", volume))
