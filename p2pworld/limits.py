"""Every bound of the system, with the arithmetic behind it.

Units are in the names. A number that is not here is not a limit.
"""

from __future__ import annotations

from typing import Final

# ruff: noqa: RUF022  (grouped as below)
__all__ = [
    "TICK_MS", "LEASE_TTL_S", "LOGIN_AHEAD_MS", "CLOCK_SKEW_MS",
    "REACH_SLACK_CM", "REACH_SPEED_CM_S", "REACH_SECONDS", "HYSTERESIS_CM", "POSES_PER_S", "CORRECT_EVERY_S",
    "PACE_EVERY_S", "PACE_LEAD_MS", "PACE_PER_TICK", "PACE_WINDOW_MS",
    "VIEW_CM", "LEAF_LEVEL", "FRAME_AVATARS", "FRAME_BYTES_MAX", "DENSITY_CELLS", "BORDER_AVATARS", "BORDER_STEP_CM",
    "GHOST_REACH_CM", "GHOST_TTL_S", "AVATARS_MAX", "CLIENTS_MAX",
    "CONTROL_BYTES_MAX", "CONTROL_PER_S", "CONTROL_BURST",
    "CONTROL_QUEUE_BYTES", "SOCKET_SEND_BUFFER_BYTES", "HELLO_WAIT_S", "LINK_BATCH_BYTES_MAX",
    "LINK_BATCH_MESSAGES_MAX", "LINK_HELLO_BYTES_MAX", "LINK_QUEUE_BYTES",
    "PREPARE_S", "RESERVED_S", "HELD_S", "FLOOR_S", "DORMANT_S", "HANDOFF_RETRY_S", "DIRECTORY_REFRESH_S",
    "DIRECTORY_TTL_S",
    "SAYS_PER_S", "SAYS_BURST", "SAY_AHEAD_MS", "HEAR_CM", "BEAT_HEAR_CM", "BEAT_AHEAD_MS", "BEAT_LEAD_MS",
    "BEATS_PER_S", "BLOCKS_MAX", "GROUPS_MAX",
    "REPORTS_MAX", "REPORTS_PER_MINUTE", "REPORT_KEPT_MS", "SANCTIONS_MAX", "SANCTION_BYTES_MAX",
    "SANCTION_LONGEST_MS",
    "BOARD_CM", "RIDER_CROSSES_S", "RIDER_KEPT_S", "RIDER_STAYS_S",
    "STORE_ANSWER_BYTES_MAX",
    "OBJECTS_PER_CELL", "OBJECTS_PER_AVATAR", "PENDING_ACTS", "PROFILES_CACHED",
]  # fmt: skip

# ---- time
TICK_MS: Final = 100  # 10 Hz
# renewed each quarter of it; judged dead after 1.2 of it unchanged, so a failover starts within 4 s
LEASE_TTL_S: Final = 3.0
LOGIN_AHEAD_MS: Final = 600_000  # a device's clock may be ten minutes ahead of ours
CLOCK_SKEW_MS: Final = 60_000  # between nodes' clocks, for stamps of objects

# ---- poses
REACH_SLACK_CM: Final = 200  # jitter: two ticks of a runner
REACH_SPEED_CM_S: Final = (700, 2_500)  # on foot (a sprinter), riding a vehicle (90 km/h)
REACH_SECONDS: Final = 3.0  # silence counts for at most this much way
HYSTERESIS_CM: Final = 200  # beyond the border by this before one is handed off: no flapping on the line
POSES_PER_S: Final = 15  # a client is asked for 10; more are dropped
CORRECT_EVERY_S: Final = 0.5
PACE_EVERY_S: Final = 5.0
PACE_WINDOW_MS: Final = (3, 33)  # how long before the tick a pose should arrive
PACE_LEAD_MS: Final = 18  # the middle of that window
PACE_PER_TICK: Final = 64  # control messages a tick: a thousand clients are in step within two seconds

# ---- what is seen
VIEW_CM: Final = 6_400
LEAF_LEVEL: Final = 11  # 32 m: a leaf and its eight neighbours reach at least 32 m around everybody in it
FRAME_AVATARS: Final = 96
# one POSES of 96 rows of 16 B, one DENSITY of 64 rows
FRAME_BYTES_MAX: Final = 16 + FRAME_AVATARS * 16 + 16 + 64 * 8
DENSITY_CELLS: Final = 64
BORDER_AVATARS: Final = 96  # for each BORDER_STEP_CM of common border
BORDER_STEP_CM: Final = 1_600
# a ghost stands at most this far beyond its holder's ground: its handoff is under way
GHOST_REACH_CM: Final = 3_200
GHOST_TTL_S: Final = 1.0

# ---- people and sockets
AVATARS_MAX: Final = 16_384  # rows of one node, ghosts and dormant ones included
CLIENTS_MAX: Final = 8_192
CONTROL_BYTES_MAX: Final = 4_096  # one control message from a client: a HELLO is about 500 B
CONTROL_PER_S: Final = 10.0
CONTROL_BURST: Final = 30
CONTROL_QUEUE_BYTES: Final = 65_536  # control messages waiting for one client's full socket
SOCKET_SEND_BUFFER_BYTES: Final = 8_192
HELLO_WAIT_S: Final = 5.0
LINK_BATCH_BYTES_MAX: Final = 20 << 20  # one whole state of a cell (16 MiB) and its envelope
# a decoded one is under 3 kB, so a batch is under 200 MB whatever it says
LINK_BATCH_MESSAGES_MAX: Final = 65_536
# one message of the link handshake: a chain of 4 grants is at most 14 kB
LINK_HELLO_BYTES_MAX: Final = 16_384
LINK_QUEUE_BYTES: Final = 64 << 20

# ---- handoff
PREPARE_S: Final = 3.0
RESERVED_S: Final = 5.0
HELD_S: Final = 1.0
FLOOR_S: Final = 60.0
DORMANT_S: Final = 3.0
HANDOFF_RETRY_S: Final = 1.0  # after a refusal, before it is tried again
DIRECTORY_REFRESH_S: Final = 5.0
DIRECTORY_TTL_S: Final = 15.0

# ---- speech
SAYS_PER_S: Final = 1.0
SAYS_BURST: Final = 6
SAY_AHEAD_MS: Final = 120_000  # the speaker's clock against ours, either way
HEAR_CM: Final = 4_000  # as far as a voice carries
BEAT_HEAR_CM: Final = 6_000
BEAT_AHEAD_MS: Final = 500  # a client may ask for a beat at most this far ahead
BEAT_LEAD_MS: Final = 150  # otherwise it sounds this much after it came, so that everybody has it in time
BEATS_PER_S: Final = 8.0  # semiquavers at 120 a minute
BLOCKS_MAX: Final = 256  # for each client
GROUPS_MAX: Final = 8  # for each client

# ---- moderation
REPORTS_MAX: Final = 4_096  # kept on one node, of at most 3 kB each
REPORTS_PER_MINUTE: Final = 6  # of one client
REPORT_KEPT_MS: Final = 30 * 86_400_000
SANCTIONS_MAX: Final = 8_192  # a chain of one grant makes an order 700 B: all of them 6 MB on a new link
SANCTION_BYTES_MAX: Final = 16_384  # with a chain of 4 grants of 32 long scopes
SANCTION_LONGEST_MS: Final = 90 * 86_400_000

# ---- the bus
BOARD_CM: Final = 1_500  # from the middle of a bus of 11 m to whoever gets on
RIDER_CROSSES_S: Final = 1.0  # for a handoff at 9 m/s; then one is set down
RIDER_KEPT_S: Final = 1.0  # a seat is kept so long for one whose socket was lost
RIDER_STAYS_S: Final = 3.0  # after a handoff, before the next: nodes' clocks may differ by that much

# ---- the coordination store
# a whole map (16 384 cells of 20 B, 1 024 members with three addresses of 512: 2 MB) and 17 leases of 300 B for each of
# its members (5 MB), in base64
STORE_ANSWER_BYTES_MAX: Final = 16 << 20

# ---- objects
OBJECTS_PER_CELL: Final = 4_096
OBJECTS_PER_AVATAR: Final = 256  # within one cell
PENDING_ACTS: Final = 4_096  # waiting for disk and standby on one node
PROFILES_CACHED: Final = 32_768
