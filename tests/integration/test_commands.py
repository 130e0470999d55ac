"""What commands say of names and places that are wrong, or not given."""
import pytest

from harness import Client


def test_warm_refuses_names_of_nothing(stack, ladder):
    game = stack.new_game()
    Client(ladder, game, stack.key(game)).put_board("empty")
    assert 'there is no board "no-such-board" in the game' in stack.cli("warm", "no-such-board", "--game", game, status=1)
    assert 'no game has a board "no-such-board"' in stack.cli("warm", "no-such-board", status=1)
    assert 'no game has a board "no-such-board"' in stack.cli("warm", "--board", "no-such-board", status=1)
    assert 'there is no game "no-such-game"' in stack.cli("warm", "--game", "no-such-game", status=1)
    assert "warm: 0 standings" in stack.cli("warm", "empty", "--game", game), "a board without an entry is no mistake"


def test_servers_finds_the_server_by_the_environment(stack, ladder):
    url = f"http://127.0.0.1:{ladder.port}"
    wanted = stack.cli("servers", "--url", url).splitlines()[0]
    assert stack.cli("servers", url=url, server_port=1).splitlines()[0] == wanted
    assert "LADDER_URL is http://HOST:PORT" in stack.cli("servers", url="nowhere", status=1)
    # What is said on the line counts, and without both the settings do.
    assert stack.cli("servers", "--url", url, url="http://127.0.0.1:1").splitlines()[0] == wanted
    assert stack.cli("servers", url="", server_port=ladder.port).splitlines()[0] == wanted


@pytest.mark.parametrize("url", ("http://127.0.0.1:1",))
def test_servers_says_that_nobody_answers(stack, url):
    assert "127.0.0.1" in stack.cli("servers", url=url, status=1)
