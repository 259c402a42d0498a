"""Every bound of the system, with the arithmetic behind it.

Units are in the names. A number that is not here is not a limit.
"""

from __future__ import annotations

from typing import Final

# ruff: noqa: RUF022  (grouped as below)
__all__ = [
    "TICK_MS", "TICK_MS_MAX", "OVER_BUSY", "OVER_TICKS", "EASE_S", "LEASE_TTL_S", "DEAF_S", "LOGIN_AHEAD_MS",
    "CLOCK_SKEW_MS",
    "BATCH_WAIT_MS", "LOAD_EVERY_S", "LOAD_TTL_S", "SLEW_SHARE", "CLOCK_SAMPLES", "CLOCK_ROOTS_MAX", "CLOCK_STALE_S",
    "REACH_SLACK_CM", "REACH_SPEED_CM_S", "REACH_SECONDS", "HYSTERESIS_CM", "POSES_PER_S", "CORRECT_EVERY_S",
    "BEHIND_SLOW_MS", "BEHIND_GOOD_MS", "BEHIND_LOST_MS",
    "PACE_EVERY_S", "PACE_EVERY_MOST_S", "PACE_LEAD_MS", "PACE_PER_TICK", "PACE_WINDOW_MS",
    "VIEW_CM", "LEAF_CAPACITY", "LEAF_WIDEST", "LEAF_FINEST", "FRAME_AVATARS", "TIER_1_AVATARS", "TIER_2_AVATARS",
    "DENSITY_LEVEL", "DENSITY_CELLS", "FRAME_BYTES_MAX", "CLIENT_BYTES_PER_S",
    "BORDER_AVATARS", "BORDER_CELLS_KEPT", "BORDER_STEP_CM",
    "GHOST_REACH_CM", "GHOST_TTL_S", "GHOST_TICKS", "AVATARS_MAX", "CLIENTS_MAX",
    "CONTROL_BYTES_MAX", "CONTROL_PER_S", "CONTROL_BURST",
    "DOOR_HALF_OPEN_MAX", "DOOR_PER_S", "DOOR_BURST", "DOOR_ADDRESSES_MAX",
    "CONTROL_QUEUE_BYTES", "SOCKET_SEND_BUFFER_BYTES", "SOCKET_RECEIVE_BUFFER_BYTES", "SOCKET_FULL_S", "HELLO_WAIT_S",
    "NEWCOMERS_S", "LINK_BATCH_BYTES_MAX",
    "LINK_BATCH_MESSAGES_MAX", "LINK_HELLO_BYTES_MAX", "LINK_QUEUE_BYTES",
    "PREPARE_S", "RESERVED_S", "HELD_S", "FLOOR_S", "DORMANT_S", "HANDOFF_RETRY_S", "DIRECTORY_REFRESH_S",
    "DIRECTORY_TTL_S",
    "SAYS_PER_S", "SAYS_BURST", "SAY_AHEAD_MS", "HEAR_CM", "BEAT_HEAR_CM", "BEAT_AHEAD_MS", "BEAT_LEAD_MS",
    "BEATS_PER_S", "BLOCKS_MAX", "GROUPS_MAX",
    "FRIENDS_MAX", "SEEK_S", "SEEKS_PER_S", "SEEKS_BURST",
    "REPORTS_MAX", "REPORTS_PER_MINUTE", "REPORT_KEPT_MS", "SANCTIONS_MAX", "SANCTION_BYTES_MAX",
    "SANCTION_LONGEST_MS", "HELLO_GRANTS_BYTES_MAX",
    "NOTICES_MAX", "NOTICES_OF_DELEGATE_MAX", "NOTICES_OF_ROOTS", "NOTICE_BYTES_MAX", "NOTICES_EVERY_S",
    "NOTICES_WHOLE_S", "REVOCATION_LONGEST_MS", "REVOKED_TURN_S",
    "HINTS_MAX", "HINT_ADDRESSES_MAX", "HINT_ROOTS_MAX", "LAN_RECORDS_MAX", "LAN_LOOK_S",
    "BOARD_CM", "RIDER_CROSSES_S", "RIDER_KEPT_S", "RIDER_STAYS_S",
    "STORE_ANSWER_BYTES_MAX",
    "LOG_SIZE_MAX", "LOG_ENTRY_BYTES_MAX", "PROOF_HASHES_MAX", "KEY_NAME_BYTES_MAX", "NOTE_SIGNATURES_MAX",
    "NOTE_BYTES_MAX", "CHECKPOINT_TEXT_BYTES_MAX", "RECEIPT_EXTRA_BYTES_MAX", "RECEIPT_BYTES_MAX",
    "WITNESS_BODY_BYTES_MAX", "WITNESS_TRIES_MAX", "WITNESS_WAITING_MAX", "WITNESS_BODY_S",
    "ASK_WITNESS_S", "ASK_WITNESS_GRACE_S", "ASK_WITNESS_AGAIN_S", "ASK_WITNESS_TRIES",
    "WITNESS_LOGS_MAX", "WITNESS_FORKS_MAX", "POLICY_BYTES_MAX", "PINNED_BYTES_MAX",
    "VERIFY_FAULTS_MAX", "VERIFY_FILES_MAX", "VERIFY_EPOCHS_MAX", "VERIFY_AHEAD_BYTES", "VERIFY_MENTIONS_MAX",
    "CIVIC_TEXT_MAX", "CIVIC_LEAF_BYTES_MAX", "CIVIC_SEALED_BYTES_MAX", "CIVIC_SUBMISSION_BYTES_MAX",
    "CIVIC_SETTLED_MAX", "CIVIC_PAPER_BYTES_MAX", "CIVIC_PAPERS_MAX",
    "CIVIC_CLOCK_MINUTES",
    "CIVIC_BATCH_MAX", "CIVIC_QUEUE_MAX", "CIVIC_RETRY_S", "CIVIC_PATIENCE_S",
    "CASE_ACTS_MAX", "DRAW_ENTRIES_MAX", "CIVIC_READ_MAX", "CIVIC_FAULTS_MAX", "RECORDS_MAX", "RECORD_BYTES_MAX",
    "CLAIM_BYTES_MAX", "CLAIM_MINUTES_MAX", "WITHDRAWN_KEYS_MAX", "WITHDRAWN_BYTES_MAX",
    "CLAIM_WANTS_MAX", "CLAIM_KEYS_MAX",
    "CLAIM_KEYS_BURST", "CLAIM_KEYS_PER_S", "ATTESTED_DEVICES_MAX", "ATTESTOR_LOGINS_MAX", "ATTESTOR_LOGIN_S",
    "ATTESTOR_CODE_S", "ATTESTOR_BODY_BYTES_MAX", "ATTESTOR_PER_S_ADDRESS", "ATTESTOR_BURST_ADDRESS",
    "ATTESTOR_CODES_PER_S", "ATTESTOR_CODES_BURST", "ATTESTOR_PROVIDER_S", "ATTESTOR_PROVIDER_BYTES_MAX",
    "ATTESTOR_KEYS_S",
    "ATTACHMENT_BYTES_MAX", "ATTACHMENT_PIECE_BYTES", "ATTACHMENT_DAYS", "ATTACHMENTS_OLDEST_MINUTES", "ATTACHMENT_S",
    "ATTACHMENTS_COMING_MAX",
    "ATTACHMENTS_WAITING_MAX", "ATTACHMENTS_WAITING_BYTES_MAX", "ATTACHMENTS_MAX", "ATTACHMENTS_BYTES_MAX",
    "ATTACHMENTS_NAMED_MAX", "ATTACHMENTS_BURST_ADDRESS", "ATTACHMENTS_PER_S_ADDRESS",
    "ATTACHMENT_MIB_BURST_ADDRESS", "ATTACHMENT_MIB_PER_S_ADDRESS",
    "SERVICE_PAGE_MAX", "PAGE_PACKED_BYTES_MAX", "SERVICE_KEYS_MAX", "SERVICE_SLOT_DAYS_MAX", "SERVICE_LOOK_S",
    "DRAW_PIECE",
    "CIVIC_OPEN_MAX", "CIVIC_ASKERS_MAX", "CIVIC_OPEN_PER_ASKER", "CIVIC_OPEN_PER_PEER", "CIVIC_ANSWER_S",
    "CIVIC_WITNESSED_S", "CIVIC_YIELD_S", "CIVIC_YIELDED_S",
    "GATEWAY_PATIENCE_S", "GATEWAY_OPEN_MAX", "GATEWAY_KEPT_DAYS", "GATEWAY_LETTERS_MAX", "UPLOADS_AT_ONCE", "UPLOAD_S",
    "UPLOAD_FORM_BYTES_MAX", "UPLOAD_FIELDS_MAX", "OPEN311_SPAN_DAYS", "OPEN311_REQUESTS_MAX", "OPEN311_IDS_MAX",
    "CIVIC_STREAMS_PER_NODE", "FILES_PER_S", "FILES_BURST", "FILES_PER_S_ADDRESS", "FILES_BURST_ADDRESS",
    "FILE_BYTES_MAX", "FILES_LONG_MAX", "FILER_WAIT_S",
    "OBJECTS_PER_CELL", "OBJECTS_PER_AVATAR", "PENDING_ACTS", "PROFILES_CACHED",
    "AUDIT_EVERY_S", "AUDIT_PARTS", "AUDIT_OBJECTS_PER_TICK", "COMPARE_S", "COMPARISONS_MAX",
    "KEPT_MAX", "KEPT_PER_AVATAR", "KEPT_MS", "KEPT_RETRY_S", "KEPT_WAIT_S", "KEPT_PER_TICK",
    "SHOW_OBJECTS", "SHOW_BYTES", "SHOW_MESSAGES_PER_TICK", "SHOW_SENDS_PER_TICK", "SHOW_PACKED_PER_TICK",
]  # fmt: skip

# ---- time
TICK_MS: Final = 100  # 10 Hz
TICK_MS_MAX: Final = (
    500  # 2 Hz, under overload; a client hears something six times before it takes its node for dead
)
OVER_BUSY: Final = (
    0.95  # of the time between two ticks; what is left does not pay for a wake-up that comes late
)
OVER_TICKS: Final = 3  # running: one slow garbage collection is no overload
EASE_S: Final = (
    0.35  # of room for each step up: one tick at 2 Hz, two at 5, four at 10; all five steps in 2.1 s
)
# nodes that tick together: frames wait this long for the neighbours' batches of the same tick, at most
BATCH_WAIT_MS: Final = 25
LOAD_EVERY_S: Final = 1.0
LOAD_TTL_S: Final = 3.0  # an older word about a node's load counts for nothing
SLEW_SHARE: Final = (
    0.01  # of its length is the most a tick is moved: 1 ms of 100, so 50 ticks from any phase to any
)
CLOCK_SAMPLES: Final = (
    8  # round trips, of which the shortest counts; in 8 s two clocks 200 ppm apart part by 1.6 ms
)
CLOCK_STALE_S: Final = 5.0  # a root whose beat does not rise for so long is no root
CLOCK_ROOTS_MAX: Final = 1_024
# renewed each quarter of it; judged dead after 1.2 of it unchanged, so a failover starts within 4 s
LEASE_TTL_S: Final = 2.0
# A node whose clients and neighbours have all been silent for so long has lost its cables: a client that stands still
# says something each second, a neighbour each half second. So it gives up its ground after 1.5 s and has it no longer
# than a client bears its silence (1.4 s) and the others need to read of it (0.25 s). By then a neighbour that lives has
# been seen to renew its lease of 2 s later than half a second after the silence began.
DEAF_S: Final = 1.5
LOGIN_AHEAD_MS: Final = 600_000  # a device's clock may be ten minutes ahead of ours
CLOCK_SKEW_MS: Final = 60_000  # between nodes' clocks, for stamps of objects

# ---- poses
REACH_SLACK_CM: Final = 200  # jitter: two ticks of a runner
REACH_SPEED_CM_S: Final = (700, 2_500)  # on foot (a sprinter), riding a vehicle (90 km/h)
REACH_SECONDS: Final = 3.0  # silence counts for at most this much way
HYSTERESIS_CM: Final = 200  # beyond the border by this before one is handed off: no flapping on the line
POSES_PER_S: Final = 15  # a client is asked for 10; more are dropped
CORRECT_EVERY_S: Final = 0.5
# how old the frame is that a client read last: from the first on it gets every second frame, until below the second
BEHIND_SLOW_MS: Final = 500
BEHIND_GOOD_MS: Final = 250
BEHIND_LOST_MS: Final = 10_000
PACE_EVERY_S: Final = 5.0
PACE_EVERY_MOST_S: Final = 80.0  # the fifth time that it did not help
PACE_WINDOW_MS: Final = (3, 33)  # how long before the tick a pose should arrive
PACE_LEAD_MS: Final = 18  # the middle of that window
PACE_PER_TICK: Final = 64  # control messages a tick: a thousand clients are in step within two seconds

# ---- what is seen
VIEW_CM: Final = 6_400
# people of one interest leaf, unless they stand on one cell of the finest level: with 12, a third more leaves
LEAF_CAPACITY: Final = 16
LEAF_WIDEST: Final = (
    7  # 512 m: what stands within VIEW_CM of a box in it is within 16 bits of cm from their middle
)
LEAF_FINEST: Final = 17  # 0.5 m
FRAME_AVATARS: Final = 96  # tier 0, each tick
TIER_1_AVATARS: Final = 64  # each second tick
TIER_2_AVATARS: Final = 48  # each fifth tick
DENSITY_LEVEL: Final = 11  # 32 m: the cells in which people are counted
DENSITY_CELLS: Final = 64
# one POSES of each tier and two DENSITY: 16 B and 16 B a row, 8 B and 6 B a row and padding
FRAME_BYTES_MAX: Final = (
    3 * 16 + 16 * (FRAME_AVATARS + TIER_1_AVATARS + TIER_2_AVATARS) + 2 * (8 + 6) + 6 * DENSITY_CELLS
)
# A client's bytes a second at 10 Hz, WebSocket headers of 4 B in: tier 0 10 x 1 556, tier 1 5 x 1 044, tier 2 2 x 788,
# counts 2 x 420: 23 196 B. Of 24 KiB/s, 1 380 are left for control messages.
CLIENT_BYTES_PER_S: Final = 24 * 1_024
BORDER_AVATARS: Final = 96  # for each BORDER_STEP_CM of common border
BORDER_STEP_CM: Final = 1_600
BORDER_CELLS_KEPT: Final = 4_096  # a square of 2 km in cells of 32 m; some 30 pieces each at most: 1 MB
# a ghost stands at most this far beyond its holder's ground: its handoff is under way
GHOST_REACH_CM: Final = 3_200
GHOST_TTL_S: Final = 1.0
GHOST_TICKS: Final = 3  # of its own node, at least, a ghost lives unrefreshed: at 2 Hz that is 1.5 s

# ---- people and sockets
AVATARS_MAX: Final = 16_384  # rows of one node, ghosts and dormant ones included
CLIENTS_MAX: Final = 12_288  # 10 000 in one crowd, and those who come while others have not quite left
CONTROL_BYTES_MAX: Final = 4_096  # one control message from a client: a HELLO is about 500 B
CONTROL_PER_S: Final = 10.0
CONTROL_BURST: Final = 30
# of one address that many may share: a quarter of the 1 024 handshakes a node has under way; a client's takes 0.1 s, so
# a school of 1 000 behind one address is in within 15 s
DOOR_HALF_OPEN_MAX: Final = 256
DOOR_PER_S: Final = 50.0
DOOR_BURST: Final = 256
DOOR_ADDRESSES_MAX: Final = 8_192  # remembered, of 300 B each; more than can be half open
# A client that reads nothing holds at most 64 KiB here: control messages that wait, the rest of one frame, and what the
# system keeps for its socket, which is twice what is asked for. Into those 16 KiB five frames of 1.7 kB fit: half a
# second.
CONTROL_QUEUE_BYTES: Final = 45_056
SOCKET_SEND_BUFFER_BYTES: Final = 8_192
# as small: a second of a client's poses is under 400 B, and a flooder waits at home
SOCKET_RECEIVE_BUFFER_BYTES: Final = 8_192
# A socket that takes nothing for so long is given up. With the half second above, nothing that leaves here is older
# than 3 s, which is how long a client bears the silence of a node at 2 Hz.
SOCKET_FULL_S: Final = 2.5
HELLO_WAIT_S: Final = 5.0
# of each 10 ms for those who are not yet in: about 600 logins a second, 200 with TLS, and the crowd keeps the rest
NEWCOMERS_S: Final = 0.004
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

# ---- friends
FRIENDS_MAX: Final = (
    256  # of each client, as blocks: 12 288 clients that all name so many are 3 M entries, 190 MB
)
# from a wish to be with a friend until one is told that it cannot be: more than three messages between nodes take
SEEK_S: Final = 3.0
SEEKS_PER_S: Final = 0.25  # of one client: a page asks again after 4 s
SEEKS_BURST: Final = 4

# ---- moderation
REPORTS_MAX: Final = 4_096  # kept on one node, of at most 3 kB each
REPORTS_PER_MINUTE: Final = 6  # of one client
REPORT_KEPT_MS: Final = 30 * 86_400_000
SANCTIONS_MAX: Final = 8_192  # a chain of one grant makes an order 700 B: all of them 6 MB on a new link
SANCTION_BYTES_MAX: Final = 16_384  # with a chain of 4 grants of 32 long scopes
SANCTION_LONGEST_MS: Final = 90 * 86_400_000

# ---- roles
# a chain of 4 grants of one scope each is 1 kB; with it a HELLO is well below CONTROL_BYTES_MAX
HELLO_GRANTS_BYTES_MAX: Final = 2_048

# ---- what is taken back
# a key or a grant each, of 300 B by a root and 700 B by a delegate: 1.4 MB on a new link or from the store; if all were
# as long as can be, 11 MB in base64, which is less than STORE_ANSWER_BYTES_MAX
NOTICES_MAX: Final = 2_048
NOTICES_OF_DELEGATE_MAX: Final = 256  # so that one whose key was stolen leaves room for the others
NOTICES_OF_ROOTS: Final = 512  # of all, kept free for root keys
NOTICE_BYTES_MAX: Final = 4_096  # a chain of 4 grants of one scope each is 1 kB
NOTICES_EVERY_S: Final = 0.5  # the store is asked whether there are new ones; then cut off within a second
NOTICES_WHOLE_S: Final = 60.0  # all of them are read again, whatever the store says
REVOCATION_LONGEST_MS: Final = 20 * 366 * 86_400_000  # twice as long as `keys grant` grants anything
REVOKED_TURN_S: Final = (
    0.75  # before others end a revoked node's lease, so that all have heard of it, and again
)

# ---- hints on the local network
HINTS_MAX: Final = (
    256  # nodes that are heard of, of 500 B each; whoever was heard of first is forgotten first
)
HINT_ADDRESSES_MAX: Final = (
    4  # of one node; a lie makes us knock at so many doors of this network, once in 2 s each
)
HINT_ROOTS_MAX: Final = 8
LAN_RECORDS_MAX: Final = 8_192  # that the library remembers of a network, of 1 kB each; then it begins anew
LAN_LOOK_S: Final = 2.0  # between two looks at them: at 10 Mbit/s of lies 3 MB come meanwhile

# ---- the bus
BOARD_CM: Final = 1_500  # from the middle of a bus of 11 m to whoever gets on
RIDER_CROSSES_S: Final = 1.0  # for a handoff at 9 m/s; then one is set down
RIDER_KEPT_S: Final = 1.0  # a seat is kept so long for one whose socket was lost
RIDER_STAYS_S: Final = 3.0  # after a handoff, before the next: nodes' clocks may differ by that much

# ---- the coordination store
# a whole map (16 384 cells of 20 B, 1 024 members with three addresses of 512: 2 MB) and 17 leases of 300 B for each of
# its members (5 MB), in base64
STORE_ANSWER_BYTES_MAX: Final = 16 << 20

# ---- logs
LOG_SIZE_MAX: Final = (
    2**53 - 1
)  # what a browser counts exactly; 5 000 entries a second fill it in 57 000 years
LOG_ENTRY_BYTES_MAX: Final = 2**16 - 1  # the length before an entry in a bundle has two bytes
PROOF_HASHES_MAX: Final = 63  # C2SP tlog-witness; a log of LOG_SIZE_MAX needs 54 at most
KEY_NAME_BYTES_MAX: Final = 255
NOTE_SIGNATURES_MAX: Final = 32  # C2SP asks for 16: two keys of a log that changes them, and 30 witnesses
NOTE_BYTES_MAX: Final = (
    65_536  # a checkpoint under 16 post-quantum signatures of 3.4 kB, or 32 of ours of 0.4 kB
)
CHECKPOINT_TEXT_BYTES_MAX: Final = 2_048  # an origin of 255 B, size, root, and what a log may add
RECEIPT_EXTRA_BYTES_MAX: Final = 49_152  # 65 536 in base64
# extra data, 63 hashes of 45 B, a checkpoint with its signatures, and 128 B for the words between
RECEIPT_BYTES_MAX: Final = 65_536 + 63 * 45 + 65_536 + 128
WITNESS_BODY_BYTES_MAX: Final = 65_536 + 63 * 45 + 32  # a checkpoint, a proof, and the old size
WITNESS_TRIES_MAX: Final = 8  # decisions anew for one request, when others for the same log came between
WITNESS_WAITING_MAX: Final = 256  # requests at once: 68 kB each, 18 MB; a second of flushes of 4 ms
WITNESS_BODY_S: Final = 10.0  # for a body to come: 68 kB at 7 kB/s
ASK_WITNESS_S: Final = 10.0  # for all that a holder asks one witness about a checkpoint: three answers of 3 s
ASK_WITNESS_GRACE_S: Final = (
    0.5  # for the others once a quorum has signed; a witness far away takes 0.3 s by TLS
)
ASK_WITNESS_AGAIN_S: Final = (
    5.0  # before they are asked again if too few have signed: ten times while who filed waits
)
ASK_WITNESS_TRIES: Final = (
    3  # of one witness about a checkpoint: its size was not known, changed meanwhile, signed
)
WITNESS_LOGS_MAX: Final = 1_024  # each with its checkpoint of up to 65 kB: 67 MB on the disk
WITNESS_FORKS_MAX: Final = (
    16  # files kept of one log, 131 kB each: one is proof enough, more tell how it went
)
POLICY_BYTES_MAX: Final = 65_536  # 32 witnesses, some hundred logs, and comments
PINNED_BYTES_MAX: Final = 1 << 20  # 256 streams that have changed keys three times, of 1.3 kB each
VERIFY_FAULTS_MAX: Final = 100  # told of one log: where more is wrong, the whole of it is
VERIFY_FILES_MAX: Final = 4_096  # named on one command line: 166 kB each at most, 680 MB
VERIFY_EPOCHS_MAX: Final = (
    4_096  # tried for a submission whose epoch is not known: one hash and one proof each, 0.1 s
)
# of bundles whose leaves are still being checked: 240 of usual leaves, four for each of 60 cores
VERIFY_AHEAD_BYTES: Final = 16 << 20
VERIFY_MENTIONS_MAX: Final = 65_536  # erasures of one log that are told of: 600 bytes each, 40 MB

# ---- civic transactions
CIVIC_LEAF_BYTES_MAX: Final = 4_096  # 16 public fields of 200 B: a full bundle of 256 has 1 MB
CIVIC_TEXT_MAX: Final = 20_000  # characters of one field: ten pages
CIVIC_SEALED_BYTES_MAX: Final = 65_536  # 20 000 Hangul syllables in UTF-8, and what identifies their writer
CIVIC_PAPER_BYTES_MAX: Final = (
    4_096  # four grants of 400 bytes as text, a claim of 500, 20 names of files with 96
)
CIVIC_PAPERS_MAX: Final = 4  # shown beside a filing: one of each kind
CIVIC_SUBMISSION_BYTES_MAX: Final = (
    4_096 + 65_536 + 8 * 160 + 4 * 4_128 + 512
)  # a leaf, what is sealed, its key for 8 offices, papers
CIVIC_BATCH_MAX: Final = (
    512  # of one transaction of the store: 120 kB of leaves; from bytes to leaf 70 ms of a core
)
CIVIC_SETTLED_MAX: Final = 256  # leaves about what has run out in one transaction: 60 kB, 50 ms of a core
CIVIC_QUEUE_MAX: Final = 4_096  # waiting for one stream: 1.4 s at 3 000 a second; 88 kB each at most, 360 MB
CIVIC_RETRY_S: Final = 0.5  # before what failed (store, record, publishing) is tried again
CIVIC_PATIENCE_S: Final = 5.0  # of failures in a row before who waits is told: ten tries
CIVIC_READ_MAX: Final = 4_096  # entries in one read of the store: 1 MB of leaves as they are, 17 MB at most
DRAW_ENTRIES_MAX: Final = 100_000  # in one draw: 60 MB of leaves, 15 s to verify their signatures
DRAW_PIECE: Final = (
    256  # people told of, or entered again, in one transaction: two leaves each, 60 ms of a core
)
CASE_ACTS_MAX: Final = 500  # acts on one request: ten a week for a year; 120 kB of leaves
# cases in one answer of the index, each folded from its acts: 2 ms of a core for ten acts, 0.2 s for all
SERVICE_PAGE_MAX: Final = 100
SERVICE_KEYS_MAX: Final = 100  # in one question: a line of 7 kB; a browser with more of its own asks again
PAGE_PACKED_BYTES_MAX: Final = 1 << 18  # by gzip as it is sent: 2 ms of a core; the largest page has 51 kB
SERVICE_SLOT_DAYS_MAX: Final = 62  # of a facility in one answer: 6 000 slots at most, 1 MB
SERVICE_LOOK_S: Final = 0.4  # between two looks at the logs: what is filed anywhere is seen within a second
CIVIC_FAULTS_MAX: Final = 100  # that a check of a store lists: a disk with more is not repaired by hand
RECORDS_MAX: Final = (
    256  # logs in the coordination store: 25 offices, the city's, and ten times as many to come
)
RECORD_BYTES_MAX: Final = 1_024  # a log's name of 255 bytes, size, root, epoch and key: 420 bytes
CIVIC_CLOCK_MINUTES: Final = 9  # either way: a clock that is off by ten minutes is told so

# ---- who counts as one person
CLAIM_BYTES_MAX: Final = (
    512  # three keys, two signatures, a purpose of 80 characters, and the names of fields: 420
)
CLAIM_MINUTES_MAX: Final = (
    31 * 1_440
)  # ahead: for so long a lost device is a person, if nobody withdraws its keys
WITHDRAWN_KEYS_MAX: Final = (
    32_768  # of one attestor: 2 000 devices lost in a month, of 16 purposes each; 1 MB
)

WITHDRAWN_BYTES_MAX: Final = 32 * WITHDRAWN_KEYS_MAX + 256  # such a list, with its attestor and signature
CLAIM_WANTS_MAX: Final = 16  # in one request: a list of services that somebody has before them
CLAIM_KEYS_MAX: Final = 512  # of one device, whose claims have not ended: 16 a day for a month
CLAIM_KEYS_BURST: Final = 64
CLAIM_KEYS_PER_S: Final = 1 / 30  # of one device, on and on
ATTESTED_DEVICES_MAX: Final = 16  # of one person
ATTESTOR_LOGINS_MAX: Final = 4_096  # begun and not ended, or ended and not fetched: 0.5 kB each, 2 MB
ATTESTOR_LOGIN_S: Final = 600.0  # for somebody to log in
ATTESTOR_CODE_S: Final = 900.0  # for a code that was read aloud: it has 49 bits
ATTESTOR_BODY_BYTES_MAX: Final = 16_384  # 16 wants of 300 bytes, or a chain of grants
ATTESTOR_PER_S_ADDRESS: Final = 1.0  # of one address: a library's
ATTESTOR_BURST_ADDRESS: Final = 60
ATTESTOR_CODES_PER_S: Final = 50.0  # tried, of all together: in 900 s one of 2^49 is found in 12 000 000 000
ATTESTOR_CODES_BURST: Final = 200
ATTESTOR_PROVIDER_S: Final = 10.0  # for a provider to answer
ATTESTOR_PROVIDER_BYTES_MAX: Final = 1 << 18  # of its keys, or what it says of itself
ATTESTOR_KEYS_S: Final = 60.0  # before its keys are fetched again for one that is not known

# ---- what is attached to filings
ATTACHMENT_BYTES_MAX: Final = (50 << 20) + 16  # the largest that a declaration may allow, and what locks it
ATTACHMENT_PIECE_BYTES: Final = 1 << 18  # read, written or sent at once; a row in a database
ATTACHMENT_DAYS: Final = 1  # for what is put to be filed
ATTACHMENTS_OLDEST_MINUTES: Final = ATTACHMENT_DAYS * 1_440 - 60  # when it is filed: an hour before it may go
ATTACHMENT_S: Final = 300.0  # for one to come: 50 MiB at 175 kB/s
ATTACHMENTS_COMING_MAX: Final = 32  # at once, of one node: two pieces each, 16 MB
ATTACHMENTS_WAITING_MAX: Final = 4_096  # of one stream, not filed yet: 800 people with five pictures each
ATTACHMENTS_WAITING_BYTES_MAX: Final = 8 << 30  # 2 MB each
ATTACHMENTS_MAX: Final = 1_000_000  # of one stream: listed in 250 MB, within 10 s
ATTACHMENTS_BYTES_MAX: Final = 1 << 40  # of one stream; a disk that is full says so before
ATTACHMENTS_NAMED_MAX: Final = 20  # in one filing: two fields of ten files
# of one address: a family at once, or a phone that sends all its pictures again; then one each 20 s
ATTACHMENTS_BURST_ADDRESS: Final = 64
ATTACHMENTS_PER_S_ADDRESS: Final = 0.05
ATTACHMENT_MIB_BURST_ADDRESS: Final = 512
ATTACHMENT_MIB_PER_S_ADDRESS: Final = 0.5

# ---- filing
# requests that a node has taken and not answered, of 0.3 kB each: two full queues; what is filed is with the holder
CIVIC_OPEN_MAX: Final = 8_192
# of one socket: their receipts of at most 2.6 kB (54 hashes) fit into CONTROL_QUEUE_BYTES if they all come at once
CIVIC_OPEN_PER_ASKER: Final = 16
# who file over HTTP at the same time: 88 kB each at most, 90 MB, and 2 kB as they are. It is who comes while a killed
# holder is away in a rush of 167 a second, six seconds of them: better kept waiting than sent away to come again
CIVIC_ASKERS_MAX: Final = 1_024
CIVIC_OPEN_PER_PEER: Final = 4_096  # of one link: half of all, so that one node leaves room for the others
CIVIC_ANSWER_S: Final = 10.0  # then nobody knows here: a holder's failover takes 4 s, a restart less
# for the second answer, which says that enough witnesses have signed; they may be asked again ten times
CIVIC_WITNESSED_S: Final = 60.0
# a holder that has succeeded in nothing for so long lets others try, and is not among them for a while: a database that
# has moved is found again sooner, and one that nobody reaches makes one change of the map in 20 s
CIVIC_YIELD_S: Final = 20.0
CIVIC_YIELDED_S: Final = 30.0
CIVIC_STREAMS_PER_NODE: Final = 32  # 25 offices, the city's, and some
FILES_PER_S: Final = 100.0  # of one socket: a gateway for thousands
FILES_BURST: Final = 256
# of one address: 36 ms a second of a core, if all are forged. A carrier puts thousands of telephones behind one: if a
# whole rush came through it, 10 000 in a minute who send 15 000 times, some would be told to come again in a second,
# and everybody were answered within 80 s
FILES_PER_S_ADDRESS: Final = 200.0
FILES_BURST_ADDRESS: Final = 512
FILE_BYTES_MAX: Final = CIVIC_SUBMISSION_BYTES_MAX + 64  # FILE with its kind, its number and its keys
FILES_LONG_MAX: Final = 256  # FILEs longer than CONTROL_BYTES_MAX on their way into a node: 23 MB at most
FILER_WAIT_S: Final = 30.0  # a socket that files without HELLO and says nothing for so long is closed

# ---- filing for others
# a request is brought to its log for so long before whoever asked is told that it is not known what became of it; the
# last try may take CIVIC_ANSWER_S more, and that is within the half minute for which programs wait
GATEWAY_PATIENCE_S: Final = 12.0
GATEWAY_OPEN_MAX: Final = 4_096  # not answered yet: 71 kB each, 290 MB of disk, after an hour at one a second
GATEWAY_KEPT_DAYS: Final = 400  # the longest terms with their extensions; 0.3 kB each, 11 MB at 100 a day
GATEWAY_LETTERS_MAX: Final = 32  # opened at once, the last ones: three small answers of the holder for each
UPLOADS_AT_ONCE: Final = (
    4  # bodies with files: five files of 10 MiB each, once as they came and once locked, 400 MB
)
UPLOAD_S: Final = 120.0  # for a body with files to come: 50 MiB at 440 kB/s
UPLOAD_FORM_BYTES_MAX: Final = 262_144  # all of a form but its files: 65 536 bytes sealed, escaped fourfold
OPEN311_SPAN_DAYS: Final = 90  # of one list of requests; this and the next are the standard's
OPEN311_REQUESTS_MAX: Final = 1_000  # 0.6 kB each
OPEN311_IDS_MAX: Final = 100  # named at once: 100 reads of the index, 30 ms
UPLOAD_FIELDS_MAX: Final = 256  # of 28 fields, one with 40 choices; attributes of Open311 are as many

# ---- ground on its way
REGIONS_TOLD_MAX: Final = (
    1_024  # leaves with people, the fullest first: 12 kB to each peer each second, 180 kB of 16 nodes
)
NODE_NAME_CHARACTERS_MAX: Final = 40  # what an operator calls a node: as long as a title on the page
DRAIN_S: Final = (
    20.0  # for a node that ends: 160 regions and 500 people take 3 s; then its standbys take over
)
HANDOFFS_OPEN: Final = (
    32  # at once, of one node: when ground moves with a thousand people, each hardly notices
)

# ---- objects
OBJECTS_PER_CELL: Final = 4_096
OBJECTS_PER_AVATAR: Final = 256  # within one cell
PENDING_ACTS: Final = 4_096  # waiting for disk and standby on one node
PROFILES_CACHED: Final = 32_768
# acts that a node keeps while nobody can make them durable, of 1 kB at most each: 4 MB on its disk
KEPT_MAX: Final = 4_096
KEPT_PER_AVATAR: Final = 16
KEPT_MS: Final = 30 * 86_400_000  # shorter than an order to expunge may hold, so that it finds the order
KEPT_RETRY_S: Final = 2.0
KEPT_WAIT_S: Final = 10.0  # for the answer of a node that one was passed on to, before it is passed on again
KEPT_PER_TICK: Final = 16  # 160 a second: all of them within 26 s of healing
# holder and standby compare the digest of each cell so often, of 35 B a cell: 1 000 cells are 9 kB/s
AUDIT_EVERY_S: Final = 4.0
AUDIT_PARTS: Final = 16  # of which one is hashed from memory anew each time: all of it within 64 s
# of 3 us for the tree and, one in 16, 8 us to hash anew, if anything changed: 7 ms, a full cell 13 ms; 80 000 objects
# in AUDIT_EVERY_S, and more take longer. Of a cell in which nothing changed a sixteenth counts
AUDIT_OBJECTS_PER_TICK: Final = 2_048
# a standby answers for nothing of a cell while it compares it: shorter than what it is given before it counts as slow
COMPARE_S: Final = 1.0
COMPARISONS_MAX: Final = 256  # a holder tells others of at once; each keeps one state of a cell in memory
# who comes into a cell is shown its objects by and by, one message a tick: with its frames that is 110 kB/s, so a line
# of 1 Mbit/s keeps up, and the bytes waiting for a client stay far below CONTROL_QUEUE_BYTES; a full cell of lanterns
# with short wishes (400 kB) takes 6 s
SHOW_OBJECTS: Final = 64  # of one message
SHOW_BYTES: Final = 8_192
# what one tick spends on all newcomers: 32 messages of 0.05 ms, 256 sends of 0.01 ms, 96 objects never packed before
# of 0.02 ms
SHOW_MESSAGES_PER_TICK: Final = 32
SHOW_SENDS_PER_TICK: Final = 256
SHOW_PACKED_PER_TICK: Final = 96
