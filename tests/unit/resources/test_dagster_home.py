"""The instance file is found and valid, and .env keeps what is not ours."""

import yaml
from dagster._core.instance.config import dagster_instance_config
from dotenv import dotenv_values

from herald_pipelines.resources.dagster_home import (
    dagster_variables,
    instance_file,
    prepare_dagster_home,
    renew_dotenv,
    write_dotenv,
)


def test_instance_file_is_valid_and_the_home_gets_it(tmp_path):
    folder = prepare_dagster_home(tmp_path / "home")
    prepare_dagster_home(tmp_path / "home")
    assert [each.name for each in folder.iterdir()] == ["dagster.yaml"]
    config, _ = dagster_instance_config(str(folder))
    assert config == yaml.safe_load(instance_file().read_text())
    assert config["storage"] == {"postgres": {"postgres_url": {"env": "HERALD_DAGSTER_URL"}}}
    assert config["compute_logs"]["config"] == {"base_dir": {"env": "DAGSTER_HOME"}}
    assert config["telemetry"] == {"enabled": False}


def test_dotenv_is_private_and_keeps_other_lines(tmp_path):
    home = tmp_path / "it's ${HOME} and $HOME"
    path = write_dotenv(tmp_path, home, "postgresql://postgres:old@127.0.0.1:1/dagster")
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("MINE='kept'\n" + path.read_text())
    write_dotenv(tmp_path, home, "postgresql://postgres:p%40ss@127.0.0.1:5/dagster")
    expected = dagster_variables(home, "postgresql://postgres:p%40ss@127.0.0.1:5/dagster")
    assert dotenv_values(path) == {"MINE": "kept", **expected}
    assert path.read_text().count("HERALD_HOME=") == 1
    assert path.stat().st_mode & 0o777 == 0o600


def test_dotenv_keeps_lines_that_are_no_utf8(tmp_path):
    (tmp_path / ".env").write_bytes(b"MINE='caf\xe9'\n")
    path = write_dotenv(tmp_path, tmp_path / "home-\u00e9", "postgresql://somewhere")
    assert path.read_bytes().startswith(b"MINE='caf\xe9'\n#")
    assert "home-\u00e9".encode() in path.read_bytes()


def test_dotenv_is_written_only_where_it_was_asked_for_and_may_fail(tmp_path):
    said = []
    renew_dotenv({}, tmp_path, "postgresql://unused", said.append)
    assert list(tmp_path.iterdir()) == said == []
    renew_dotenv({"HERALD_DOTENV": str(tmp_path)}, tmp_path, "postgresql://somewhere", said.append)
    assert dotenv_values(tmp_path / ".env")["HERALD_DAGSTER_URL"] == "postgresql://somewhere"
    renew_dotenv({"HERALD_DOTENV": f"{tmp_path}/gone"}, tmp_path, "postgresql://unused", said.append)
    gone = f"{tmp_path}/gone/.env"
    assert said == [f"`dg` will not find this home: {gone} cannot be written: no such file or directory"]
