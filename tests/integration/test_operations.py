"""What the operator is given: the manual, the unit file, the containers."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from app import interruption, main_orchestrated, settings
from app.domain import errors
from app.domain.errors import OperatorError
from app.domain.orders import BlockReason
from app.main_orchestrated import USAGE_EXIT_CODE
from app.setting_services import OrchestratorSettings
from app.setting_values import Mode
from app.watchdog import EXIT_CODE

ROOT = Path(__file__).parents[2]
MANUAL = ROOT / "docs" / "OPERATIONS.md"
DEPLOY = ROOT / "docs" / "deploy"
UNIT = DEPLOY / "mt5-trading-daemon.service"
DAEMON = [path for path in (ROOT / "app").rglob("*.py") if "bridge" not in path.parts]
"""The modules of the daemon: our own bridge is another program."""


def exit_codes():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    named = {kind.exit_code for kind in kinds if issubclass(kind, OperatorError)}
    return sorted({0, USAGE_EXIT_CODE, EXIT_CODE, interruption.EXIT_CODE, *named})


def rows(section):
    """Return the first cells of the manual's tables in a section; each row explains and advises."""
    text = MANUAL.read_text("utf-8").partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    found = re.findall(r"^\| (?:`(\w+)`|(\d+)) \| [^|]+ \| [^|]+ \|$", text, re.MULTILINE)
    return [name or number for name, number in found]


def explained_lines():
    """Yield the fixed parts of each log line the manual explains."""
    section = MANUAL.read_text("utf-8").partition("\n## Log lines\n")[2].partition("\n## ")[0]
    for line in re.findall(r"^\| `(.+?)` \|", section, re.MULTILINE):
        yield [part.strip() for part in line.split("…") if part.strip()]


def loud_lines(path):
    """Yield the messages a module logs as errors, as they stand there."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.Call(
                func=ast.Attribute(value=logger, attr="error" | "critical"),
                args=[ast.Constant(value=str(text)), *_],
            ) if "log" in ast.unparse(logger).lower():
                yield text


class TestManual:
    def test_every_block_is_explained(self):
        """S15: each reason has a row, and each row a reason."""
        assert sorted(rows("Blocked entries")) == sorted(BlockReason)

    def test_every_exit_code_is_explained(self):
        """P22, S15: in the manual and at the command itself."""
        assert [int(code) for code in rows("Exit codes")] == exit_codes()
        command = main_orchestrated.__doc__ or ""
        assert [int(code) for code in re.findall(r"\b(\d+) \w", command)] == exit_codes()

    def test_every_line_it_explains_is_one_the_daemon_says(self):
        """I28: what stands in the manual can be found in the log."""
        code = "".join(path.read_text("utf-8") for path in (ROOT / "app").rglob("*.py"))
        said = re.sub(r'"\s+f?"', "", code)
        parts = {part for line in explained_lines() for part in line}
        assert [part for part in parts if part not in said] == []

    def test_every_error_the_daemon_says_is_explained(self):
        """I28: no alarm without its row."""
        alarms = [text for path in DAEMON for text in loud_lines(path)]
        assert len(alarms) > 8
        rows = list(explained_lines())
        assert [it for it in alarms if not any(all(p in it for p in row) for row in rows)] == []

    def test_the_files_it_names_exist(self):
        """S15."""
        text = MANUAL.read_text("utf-8")
        linked = re.findall(r"\]\(([\w./-]*)(?:#([\w-]+))?\)", text)
        assert [link for link, _ in linked if not (MANUAL.parent / link).exists()] == []
        headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        anchors = {heading.lower().replace(" ", "-") for heading in headings}
        assert {anchor for _, anchor in linked if anchor} <= anchors
        scripts = set(re.findall(r"python (tests/[\w/]+\.py)", text))
        assert scripts
        assert [script for script in scripts if not (ROOT / script).exists()] == []


def unit(key):
    """Return the value of a key of the unit file."""
    (value,) = re.findall(rf"^{key}=(.*)$", UNIT.read_text("utf-8"), re.MULTILINE)
    return value


class TestUnitFile:
    def test_what_a_restart_cannot_help_is_not_restarted(self):
        """Codes that only the operator can put right."""
        assert unit("RestartPreventExitStatus") == "64 75 77 78"

    def test_the_manager_waits_longer_than_the_daemon_watches_itself(self):
        """A hang is to end with its stacks written, before the manager ends it without."""
        assert int(unit("WatchdogSec")) > 2 * OrchestratorSettings().cycle_budget
        assert int(unit("TimeoutStopSec")) > 5

    @pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
    def test_systemd_accepts_it(self, tmp_path):
        """With an interpreter that is there in the place of the installed one."""
        copy = tmp_path / UNIT.name
        interpreter = unit("ExecStart").partition(" ")[0]
        copy.write_text(UNIT.read_text("utf-8").replace(interpreter, sys.executable))
        checked = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", str(copy)],
            capture_output=True,
            text=True,
            check=False,
        )
        younger = re.compile(r"Unknown key '(RestartSteps|RestartMaxDelaySec)'")
        said = [line for line in checked.stderr.splitlines() if UNIT.stem in line]
        assert (checked.returncode, [it for it in said if not younger.search(it)]) == (0, [])


class TestContainers:
    @pytest.fixture
    def rehearsal(self):
        return yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["services"]

    def test_the_daemon_of_the_rehearsal_trades_the_account_of_its_bridge(self, rehearsal):
        """Live, pinned to the login that the bridge has, at the bridge's address."""
        given = settings.load(environ=rehearsal["daemon"]["environment"], dotenv=None).settings
        bridge = rehearsal["bridge"]["command"]
        assert given.trading.mode is Mode.LIVE
        assert str(given.broker.live_account) == bridge[bridge.index("--login") + 1]
        assert f":{bridge[bridge.index('--port') + 1]}/mt5" in str(given.api.base_url)

    def test_the_bridge_takes_its_command_line(self, rehearsal):
        command = rehearsal["bridge"]["command"]
        shown = subprocess.run(
            [sys.executable, "-m", *command, "--help"],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )
        assert (shown.returncode, shown.stderr) == (0, "")

    def test_what_must_last_is_on_a_volume(self, rehearsal):
        """The journal is in the folder that the image keeps and the daemon writes to."""
        folder = settings.load(environ={}, dotenv=None).settings.journal.folder
        kept = f"/srv/trading/{folder}"
        assert f'VOLUME ["{kept}"]' in (DEPLOY / "Dockerfile").read_text("utf-8")
        assert rehearsal["daemon"]["volumes"] == [f"journal:{kept}"]
