"""A gateway at a node that holds no log: it asks the holder for the office's key, and brings what is filed there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from client.walk import places_around
from simulations.processes import City
from tests.services.gateway_node import HELD_S, REPORT, ROAD, STREAMS, VALUES, ask, multipart
from tests.services.test_attachments import png
from tests.shard_node.test_city_of_processes import wait_ready, wait_until

if TYPE_CHECKING:
    from pathlib import Path


def test_a_node_without_logs_files_for_others(tmp_path: Path) -> None:
    with City(tmp_path, 2, places_around(), 512) as city:
        gateway, holder = city.nodes
        city.keep_logs(STREAMS, [holder])
        with gateway.config.open("a", encoding="utf-8") as config:
            public = city.signer("gateway").public.hex()
            config.write(f'\n[services]\ngateways = ["{public}"]\ngateway_key_file = "gateway.key"\n')
        city.start()
        wait_ready(city)

        def held() -> bool:
            logs = holder.ask_json("/healthz").get("civic", [])
            return len(logs) == len(STREAMS) and all(log["stage"] == "idle" for log in logs)

        wait_until(held, HELD_S, lambda: holder.log_tail(30))
        parts: list[tuple[str, str | None, bytes]] = [
            *((name, None, str(value).encode()) for name, value in VALUES.items()),
            ("photos", "a.png", png()),
        ]
        body, said = multipart(parts)
        key = {"Idempotency-Key": "a-key-that-is-nobody-elses"}
        filed = ask(gateway.web_url, "POST", f"{ROAD}/requests", body, said | key)
        assert filed.status == 201, (filed.body, gateway.log_tail(30))
        followed = ask(gateway.web_url, "GET", f"{ROAD}/requests", headers=key)
        assert followed.json()["entry"] == filed.json()["entry"]
        assert "withdraw" in followed.json()["may"]
        form = "&".join(f"{name}={value}" for name, value in REPORT[:-1]).encode()
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        made = ask(gateway.web_url, "POST", "/open311/v2/requests.json", form, kind)
        assert made.status == 201, made.body
        number = made.json()[0]["service_request_id"]
        for node in city.nodes:  # both show it

            def shown() -> bool:
                answer = ask(node.web_url, "GET", f"/open311/v2/requests/{number}.json")  # noqa: B023
                return answer.status == 200

            wait_until(shown, HELD_S, lambda: node.log_tail(30))  # noqa: B023
        gateway.kill()
        gateway.start()
        wait_ready(city)
        again = ask(gateway.web_url, "POST", f"{ROAD}/requests", body, said | key)
        assert again.json() == filed.json()
        assert city.end() == [], "a node had to be killed"
