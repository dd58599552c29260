"""The manifests for Kubernetes are ones by its published schemas, and say nothing that Reelwright does not know."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from db.session import open_database, upgrade
from db.settings import PREFIX, Settings
from orchestrator.processes import fleet
from orchestrator.web import serving
from orchestrator.web.figures import InstallationFigures, Requests, exposition
from tests.db.desk import Desk, still
from tests.test_docker import SERVICES, assert_is_a_command

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docker" / "kubernetes"
KUSTOMIZATION: dict[str, Any] = yaml.safe_load((FOLDER / "kustomization.yaml").read_text(encoding="utf-8"))
RESOURCES: list[dict[str, Any]] = [
    document
    for path in sorted(FOLDER.glob("*.yaml"))
    if path.name != "kustomization.yaml"
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
]
BY_KIND_AND_NAME = {(each["kind"], each["metadata"]["name"]): each for each in RESOURCES}
WORKLOADS = {each["metadata"]["name"]: each for each in RESOURCES if each["kind"] in {"Deployment", "Job"}}
PODS: dict[str, dict[str, Any]] = {name: each["spec"]["template"]["spec"] for name, each in WORKLOADS.items()}
BOXES: dict[str, dict[str, Any]] = {name: pod["containers"][0] for name, pod in PODS.items()}
WORKERS = ("worker-cpu", "worker-gpu")
VERSIONS = ("1.29", kubernetes_validate.latest_version())
"""The oldest Kubernetes that is still found and the newest whose schemas are bundled."""

SCALED_OBJECT = {
    "": {"scaleTargetRef", "minReplicaCount", "maxReplicaCount", "pollingInterval", "cooldownPeriod", "advanced",
         "triggers", "fallback", "idleReplicaCount", "initialCooldownPeriod"},
    "scaleTargetRef": {"apiVersion", "kind", "name", "envSourceContainerName"},
    "advanced": {"restoreToOriginalReplicaCount", "horizontalPodAutoscalerConfig", "scalingModifiers"},
}  # fmt: skip
"""Fields of KEDA's ScaledObject, keda.sh/v1alpha1, whose definition is in none of the schemas that can be installed."""
PROMETHEUS_TRIGGER = {"serverAddress", "query", "threshold", "activationThreshold", "namespace", "ignoreNullValues"}


def variables(name: str) -> dict[str, str]:
    """What a workload's container finds in its environment."""
    found: dict[str, str] = {}
    for source in BOXES[name]["envFrom"]:
        if "configMapRef" in source:
            found |= BY_KIND_AND_NAME["ConfigMap", source["configMapRef"]["name"]]["data"]
        else:
            found |= BY_KIND_AND_NAME["Secret", source["secretRef"]["name"]]["stringData"]
    return found | {each["name"]: each["value"] for each in BOXES[name].get("env", ())}


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def memory(text: str) -> int:
    """Bytes."""
    number, unit = re.fullmatch(r"(\d+)([GMT]i)", text).groups()  # type: ignore[union-attr]
    return int(number) * {"Mi": 2**20, "Gi": 2**30, "Ti": 2**40}[unit]


def scaled() -> list[dict[str, Any]]:
    return [each for each in RESOURCES if each["kind"] == "ScaledObject"]


def probes(name: str) -> Iterator[dict[str, Any]]:
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        if kind in BOXES[name]:
            yield BOXES[name][kind]


def test_every_file_is_listed_and_every_listed_file_is_there() -> None:
    files = {path.name for path in FOLDER.iterdir()} - {"kustomization.yaml"}
    assert sorted(KUSTOMIZATION["resources"]) == sorted(files)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("key", [key for key in BY_KIND_AND_NAME if key[0] != "ScaledObject"], ids="-".join)
def test_every_resource_is_one_by_the_published_schemas(key: tuple[str, str], version: str) -> None:
    kubernetes_validate.validate(BY_KIND_AND_NAME[key], version, strict=True)


def test_a_field_that_there_is_not_would_be_seen() -> None:
    wrong = json.loads(json.dumps(WORKLOADS["serve"]))
    wrong["spec"]["template"]["spec"]["containers"][0]["comand"] = ["reelwright"]
    with pytest.raises(kubernetes_validate.ValidationError, match="comand"):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("name", PODS)
def test_every_workload_runs_a_command_that_exists_in_an_image_that_is_built(name: str) -> None:
    assert "command" not in BOXES[name], "the image's own entry point is our command"
    assert_is_a_command(BOXES[name]["args"])
    ours = {service["image"] for service in SERVICES.values() if "build" in service}
    assert BOXES[name]["image"] in ours
    assert BOXES[name]["image"].partition(":")[0] in {each["name"] for each in KUSTOMIZATION["images"]}


def test_the_tags_are_the_ones_that_are_built() -> None:
    tags = {service["image"].partition(":")[2] for service in SERVICES.values() if "build" in service}
    assert {each["newTag"] for each in KUSTOMIZATION["images"]} == tags


@pytest.mark.parametrize("name", PODS)
def test_every_probe_asks_what_exists(name: str) -> None:
    routes = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))["paths"]
    ports = {port["name"]: port["containerPort"] for port in BOXES[name].get("ports", ())}
    for probe in probes(name):
        if "exec" in probe:
            assert probe["exec"]["command"][0] == "reelwright"
            assert_is_a_command(probe["exec"]["command"][1:])
        else:
            assert probe["httpGet"]["path"] in routes
            assert probe["httpGet"]["port"] in ports
    assert name == "upgrade" or list(probes(name)), "nobody asks whether it lives"


def test_who_is_away_is_waited_for_and_nobody_is_ended_for_it() -> None:
    for name in ("orchestrator", *WORKERS):
        assert "livenessProbe" not in BOXES[name]
        assert BOXES[name]["readinessProbe"]["exec"]["command"] == SERVICES["orchestrator"]["healthcheck"]["test"][1:]


def test_the_pages_are_found_where_the_server_listens() -> None:
    port = BOXES["serve"]["ports"][0]["containerPort"]
    assert f"--port={port}" in BOXES["serve"]["args"]
    service = BY_KIND_AND_NAME["Service", "serve"]["spec"]
    assert service["selector"] == WORKLOADS["serve"]["spec"]["template"]["metadata"]["labels"]
    assert service["ports"][0]["targetPort"] == BOXES["serve"]["ports"][0]["name"]
    admitted = BY_KIND_AND_NAME["NetworkPolicy", "pages"]["spec"]
    assert admitted["podSelector"]["matchLabels"] == service["selector"]
    assert [each["port"] for each in admitted["ingress"][0]["ports"]] == [port]


@pytest.mark.parametrize("name", PODS)
def test_every_variable_is_a_setting_and_has_a_value_that_is_accepted(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = variables(name)
    expanded = {word for text in BOXES[name]["args"] for word in re.findall(r"\$\((\w+)\)", text)}
    ours = {each.removeprefix(PREFIX).lower() for each in given if each.startswith(PREFIX)}
    assert ours <= set(Settings.model_fields)
    assert expanded <= set(given)
    assert {each for each in given if not each.startswith(PREFIX)} <= {"PUBLIC_URL"}
    for variable, value in given.items():
        monkeypatch.setenv(variable, value)
    settings = Settings()  # type: ignore[call-arg]
    assert not settings.embedded
    mounts = {mount["mountPath"] for mount in BOXES[name]["volumeMounts"]}
    assert name == "upgrade" or set(settings.source_roots) <= mounts
    assert settings.scratch is None or str(settings.scratch) in mounts


@pytest.mark.parametrize("name", PODS)
def test_nothing_that_kubernetes_adds_to_the_environment_is_taken_for_a_setting(name: str) -> None:
    # For a service called reelwright-web it would be REELWRIGHT_WEB_PORT, by which every command refuses to start.
    assert PODS[name]["enableServiceLinks"] is False


@pytest.mark.parametrize("name", PODS)
def test_a_pod_meets_the_strictest_level_that_its_namespace_demands(name: str) -> None:
    level = BY_KIND_AND_NAME["Namespace", KUSTOMIZATION["namespace"]]["metadata"]["labels"]
    assert level["pod-security.kubernetes.io/enforce"] == "restricted"
    whole, box = PODS[name]["securityContext"], BOXES[name]["securityContext"]
    assert whole["runAsNonRoot"]
    assert whole["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not box["allowPrivilegeEscalation"]
    assert box["capabilities"] == {"drop": ["ALL"]}
    assert box["readOnlyRootFilesystem"]
    assert {kind for volume in PODS[name]["volumes"] for kind in volume} <= {
        "name", "emptyDir", "persistentVolumeClaim",
    }  # fmt: skip


@pytest.mark.parametrize("name", PODS)
def test_a_pod_runs_as_the_images_user(name: str) -> None:
    for path in (ROOT / "docker").glob("*.Dockerfile"):
        number = re.search(r"useradd --uid (\d+)", path.read_text(encoding="utf-8"))
        assert number
        assert PODS[name]["securityContext"]["runAsUser"] == int(number[1])


@pytest.mark.parametrize("name", PODS)
def test_a_mount_has_a_volume_and_a_volume_a_claim(name: str) -> None:
    volumes = {volume["name"]: volume for volume in PODS[name]["volumes"]}
    assert {mount["name"] for mount in BOXES[name]["volumeMounts"]} == set(volumes)
    for volume in volumes.values():
        if "persistentVolumeClaim" in volume:
            assert ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) in BY_KIND_AND_NAME


def test_the_archive_is_only_read() -> None:
    for name, box in BOXES.items():
        for mount in box["volumeMounts"]:
            assert mount["name"] != "archive" or mount["readOnly"], name
    assert BY_KIND_AND_NAME["PersistentVolumeClaim", "archive"]["spec"]["accessModes"] == ["ReadOnlyMany"]


def test_what_people_send_is_written_by_the_server_and_read_by_workers_under_one_path() -> None:
    places = {
        name: (mount["mountPath"], mount.get("readOnly", False))
        for name, box in BOXES.items() for mount in box["volumeMounts"] if mount["name"] == "uploads"
    }  # fmt: skip
    path = "/home/reelwright/home/uploads"
    assert places == {"serve": (path, False)} | dict.fromkeys(WORKERS, (path, True))


@pytest.mark.parametrize("name", PODS)
def test_every_pod_says_what_it_needs_and_what_it_may_have(name: str) -> None:
    wants = BOXES[name]["resources"]
    assert set(wants["requests"]) >= {"cpu", "memory"}
    assert memory(wants["limits"]["memory"]) >= memory(wants["requests"]["memory"])


@pytest.mark.parametrize("name", WORKERS)
def test_workers_fit_into_what_their_pod_may_have(name: str) -> None:
    given, wants = variables(name), BOXES[name]["resources"]
    slots, threads = (int(given[f"{PREFIX}{which}"]) for which in ("SLOTS", "CODEC_THREADS"))
    assert slots * threads <= int(wants["requests"]["cpu"])
    # What shares.worker_memory_mb gives at least to each.
    assert memory(wants["limits"]["memory"]) * 4 // 5 // slots >= 2 * 10**9
    scratch = next(volume for volume in PODS[name]["volumes"] if volume["name"] == "scratch")
    quota = int(given[f"{PREFIX}SCRATCH_QUOTA_BYTES"])
    assert slots * quota <= memory(scratch["emptyDir"]["sizeLimit"])


def test_workers_on_gpus_have_one_and_workers_on_cores_none() -> None:
    limits = {name: BOXES[name]["resources"]["limits"] for name in WORKERS}
    assert limits["worker-gpu"]["nvidia.com/gpu"] == int(variables("worker-gpu")[f"{PREFIX}SLOTS"])
    assert "nvidia.com/gpu" not in limits["worker-cpu"]
    assert [variables(name)[f"{PREFIX}DEVICE"] for name in WORKERS] == ["cpu", "cuda"]


def told_late(name: str) -> int:
    """Seconds that a pod goes on before it is told to end."""
    words = BOXES[name].get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
    assert words[0] == "sleep"
    return int(words[1])


def test_only_the_server_goes_on_while_its_address_is_still_known() -> None:
    assert [name for name in PODS if told_late(name)] == ["serve"]


def test_there_is_time_to_stop_in_order() -> None:
    for name, service, least in (
        ("orchestrator", "orchestrator", 0.0), ("serve", "web", serving.GRACE_SECONDS),
        *((name, "worker", fleet.GRACE_SECONDS) for name in WORKERS),
    ):  # fmt: skip
        given = PODS[name]["terminationGracePeriodSeconds"] - told_late(name)
        assert given == seconds(SERVICES[service]["stop_grace_period"])
        assert given >= least + 10, "leases are given back after that"


def test_budgets_and_selectors_choose_the_pods_that_they_are_named_after() -> None:
    for (kind, name), each in BY_KIND_AND_NAME.items():
        if kind in {"Deployment", "PodDisruptionBudget"}:
            labels = WORKLOADS[name]["spec"]["template"]["metadata"]["labels"]
            assert each["spec"]["selector"]["matchLabels"] == labels
    assert {name for kind, name in BY_KIND_AND_NAME if kind == "PodDisruptionBudget"} == {"orchestrator", *WORKERS}
    assert WORKLOADS["orchestrator"]["spec"]["replicas"] == 2


def test_the_two_loops_are_spread_over_nodes_where_there_are_two() -> None:
    (spread,) = PODS["orchestrator"]["topologySpreadConstraints"]
    assert spread["labelSelector"] == WORKLOADS["orchestrator"]["spec"]["selector"]
    assert (spread["topologyKey"], spread["maxSkew"]) == ("kubernetes.io/hostname", 1)
    assert spread["whenUnsatisfiable"] == "ScheduleAnyway", "on a single node both must run too"


def test_pods_may_reach_what_their_settings_name() -> None:
    addresses = variables("worker-cpu").values()
    wanted = {int(port) for text in addresses for port in re.findall(r"\.svc:(\d+)", text)}
    policy = BY_KIND_AND_NAME["NetworkPolicy", "services"]["spec"]
    allowed = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
    assert len(wanted) == 3
    assert allowed == wanted | {53}
    closed = BY_KIND_AND_NAME["NetworkPolicy", "closed"]["spec"]
    assert closed == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_scaling_has_the_fields_of_a_scaled_object() -> None:
    for each in scaled():
        assert each["apiVersion"] == "keda.sh/v1alpha1"
        spec = each["spec"]
        for part, fields in SCALED_OBJECT.items():
            assert set(spec[part] if part else spec) <= fields
        assert 0 <= spec["minReplicaCount"] < spec["maxReplicaCount"]
        for trigger in spec["triggers"]:
            assert trigger["type"] == "prometheus"
            assert {"serverAddress", "query", "threshold"} <= set(trigger["metadata"]) <= PROMETHEUS_TRIGGER
            assert all(isinstance(value, str) for value in trigger["metadata"].values())


def test_scaling_sets_replicas_alone() -> None:
    assert {each["spec"]["scaleTargetRef"]["name"] for each in scaled()} == set(WORKERS)
    for each in scaled():
        assert "replicas" not in WORKLOADS[each["spec"]["scaleTargetRef"]["name"]]["spec"]


def test_scaling_counts_what_waits_for_workers_and_is_at_work_in_the_figures_as_prometheus_reads_them(
    tmp_path: Path,
) -> None:
    with open_database(Settings(home=tmp_path)) as database:
        upgrade(database)
        desk = Desk(database)
        desk.submit([still(number) for number in range(6)], bundle=1)
        desk.hire()
        desk.next_lease()
        desk.set_state(desk.tasks(state="ready")[0].id, "waiting")
        assert Counter(task.state for task in desk.tasks()) == {"waiting": 1, "ready": 3, "queued": 1, "running": 1}
        shown, _ = exposition(InstallationFigures(database, 60.0, Requests()))
    samples = [
        sample for family in text_string_to_metric_families(shown.decode()) for sample in family.samples
        if sample.name == "reelwright_tasks"
    ]  # fmt: skip
    assert sum(each.value for each in samples) == 6
    for wanted in scaled():
        query = wanted["spec"]["triggers"][0]["metadata"]["query"]
        figure, states = re.fullmatch(r'sum\((\w+)\{state=~"([\w|]+)"\}\)', query).groups()  # type: ignore[union-attr]
        chosen = [
            sample for sample in samples if sample.name == figure and re.fullmatch(states, sample.labels["state"])
        ]
        assert sum(sample.value for sample in chosen) == 5


def test_the_secret_is_an_example_and_no_secret() -> None:
    for value in BY_KIND_AND_NAME["Secret", "access"]["stringData"].values():
        assert "REPLACE" in value
    public = BY_KIND_AND_NAME["ConfigMap", "settings"]["data"]
    assert not any(re.search("PASSWORD|KEY|DATABASE|BROKER", name) for name in public)


def test_commands_in_the_comments_exist_too() -> None:
    text = (FOLDER / "kustomization.yaml").read_text(encoding="utf-8")
    commands = re.findall(r"exec deploy/(\w+) -- reelwright (.+)", text)
    assert len(commands) == 2
    for workload, words in commands:
        assert workload in WORKLOADS
        assert_is_a_command([word for word in words.split() if not word.startswith("/")])
