"""The command line: choice of the command, exit codes and error messages."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from context7_fabric.cli.main import COMMANDS, main
from context7_fabric.cli.output import with_app
from context7_fabric.errors import FabricError, SettingError, UpstreamOff
from context7_fabric.process import set_up_logging
from context7_fabric.runtime.app import App
from context7_fabric.version import __version__

Command = Callable[[list[str]], int]


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Commands set logging up for the whole process."""
    names = ("", "context7_fabric", "mcp", "uvicorn")
    levels = {name: logging.getLogger(name).level for name in names}
    handlers = logging.getLogger().handlers[:]
    yield
    logging.getLogger().handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> Callable[[Command], None]:
    """Return a way to add a command `probe`."""

    def add(run: Command) -> None:
        module = ModuleType("context7_fabric.cli.probe")
        module.__dict__["run"] = run
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(COMMANDS, "probe", "a command for this test")

    return add


class TestChoosing:
    @pytest.mark.parametrize("word", ["--help", "-h", "help"])
    def test_help_lists_every_command(self, word: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main([word, "more"]) == 0
        out = capsys.readouterr().out
        assert all(f"  {name} " in out and what in out for name, what in COMMANDS.items())

    @pytest.mark.parametrize("word", ["--version", "-v", "-V"])
    def test_version_option_prints_the_version(
        self, word: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main([word]) == 0
        assert capsys.readouterr().out == f"{__version__}\n"

    def test_command_gets_the_words_after_its_name(self, added: Callable[[Command], None]) -> None:
        heard: list[list[str]] = []

        def run(words: list[str]) -> int:
            heard.append(words)
            return 3

        added(run)
        assert main(["probe", "a", "--b", "probe"]) == 3
        assert heard == [["a", "--b", "probe"]]

    def test_main_without_words_uses_those_of_the_process(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(sys, "argv", ["context7-fabric", "--version"])
        assert main() == 0
        assert capsys.readouterr().out == f"{__version__}\n"

    def test_options_alone_are_those_of_serving(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["--transport", "pigeon"]) == 2
        assert "Invalid --transport value: 'pigeon'" in capsys.readouterr().err

    def test_an_unknown_command_is_wrong_usage(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["fly"]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err == (
            "context7-fabric: there is no command 'fly'; `context7-fabric --help` lists them\n"
        )

    @pytest.mark.parametrize("name", COMMANDS)
    def test_help_option_of_a_command_prints_its_usage(
        self, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as ended:
            main([name, "--help"])
        assert ended.value.code == 0
        assert f"context7-fabric {name}" in capsys.readouterr().out

    @pytest.mark.parametrize("name", [name for name in COMMANDS if name != "serve"])
    def test_an_option_that_a_command_lacks_is_wrong_usage(self, name: str) -> None:
        with pytest.raises(SystemExit) as ended:
            main([name, "--no-such-option"])
        assert ended.value.code == 2


class TestEnding:
    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (SettingError("VARIABLE", "x", "a number"), 2),
            (UpstreamOff(), 1),
            (ExceptionGroup("tasks", [UpstreamOff()]), 1),
            (ExceptionGroup("outer", [ExceptionGroup("inner", [SettingError("V", "x", "y")])]), 2),
        ],
    )
    def test_fabric_error_is_one_line_and_an_exit_code(
        self,
        added: Callable[[Command], None],
        capsys: pytest.CaptureFixture[str],
        error: Exception,
        code: int,
    ) -> None:
        added(raising(error))
        assert main(["probe"]) == code
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("context7-fabric: ")
        assert err.count("\n") == 1

    @pytest.mark.parametrize(
        "error",
        [
            ValueError("a fault"),
            ExceptionGroup("tasks", [ValueError("a fault")]),
            ExceptionGroup("tasks", [FabricError("one"), ValueError("other")]),
        ],
    )
    def test_other_error_is_raised(
        self, added: Callable[[Command], None], error: Exception
    ) -> None:
        added(raising(error))
        with pytest.raises(type(error)) as raised:
            main(["probe"])
        assert raised.value is error

    def test_an_interrupt_ends_as_shells_expect(self, added: Callable[[Command], None]) -> None:
        added(raising(KeyboardInterrupt()))
        assert main(["probe"]) == 130

    def test_a_bad_variable_is_wrong_usage(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("CONTEXT7_FABRIC_BACKEND", "paper")
        assert main(["resolve", "react"]) == 2
        assert capsys.readouterr().err == (
            "context7-fabric: CONTEXT7_FABRIC_BACKEND: 'paper' is not one of disk, memory,"
            " a redis:// URL\n"
        )

    def test_fabric_error_in_an_open_app_is_one_line(
        self,
        added: Callable[[Command], None],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        tmp_path: Path,
    ) -> None:
        async def work(app: App) -> int:
            raise UpstreamOff

        monkeypatch.setenv("CONTEXT7_FABRIC_HOME", str(tmp_path))
        monkeypatch.setenv("CONTEXT7_FABRIC_UPSTREAM", "off")
        added(lambda words: with_app(work))
        assert main(["probe"]) == 1
        assert capsys.readouterr().err == (
            "context7-fabric: upstream is switched off (CONTEXT7_FABRIC_UPSTREAM=off)\n"
        )


class TestLogging:
    def test_logging_writes_lines_of_the_level_and_above_to_stderr(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        set_up_logging("info")
        logging.getLogger("context7_fabric.probe").debug("too low")
        logging.getLogger("context7_fabric.probe").info("logged")
        logging.getLogger("other.package").info("too low")
        logging.getLogger("other.package").warning("logged too")
        logging.getLogger("mcp.client").error("not for users")
        out, err = capsys.readouterr()
        assert out == ""
        assert err == "context7-fabric: INFO: logged\ncontext7-fabric: WARNING: logged too\n"

    def test_logging_set_up_twice_logs_once(self, capsys: pytest.CaptureFixture[str]) -> None:
        set_up_logging("warning")
        set_up_logging("error")
        logging.getLogger("context7_fabric").warning("too low")
        logging.getLogger("context7_fabric").error("logged")
        assert capsys.readouterr().err == "context7-fabric: ERROR: logged\n"


def raising(error: BaseException) -> Command:
    def run(words: list[str]) -> int:
        raise error

    return run
