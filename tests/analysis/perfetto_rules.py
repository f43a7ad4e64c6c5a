"""A trace as Perfetto's trace processor would take it in, and the rules that it must keep for that.

The rules are those of perfetto.dev/docs/reference/synthetic-track-event and of the importer's source: packets are
sorted by time, those of one instant by their place; on a track slices nest, and an end closes the last that began; an
event's track is described before it; counters and slices never share a track; a flow that ends was begun.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackEvent

Path = tuple[str, ...]


@dataclass
class Slice:
    """``track``: the names from the process down."""

    track: Path
    name: str
    begin: int
    args: dict[str, Any]
    end: int | None = None


@dataclass
class Timeline:
    slices: list[Slice] = field(default_factory=list)
    instants: list[Slice] = field(default_factory=list)
    counters: dict[Path, list[tuple[int, int]]] = field(default_factory=dict)
    units: dict[Path, str] = field(default_factory=dict)
    flows: dict[int, list[Slice]] = field(default_factory=dict)

    def on(self, *track: str) -> list[tuple[str, int, int | None]]:
        """Name, begin and end of the slices on a track."""
        return [(seen.name, seen.begin, seen.end) for seen in self.slices if seen.track == track]


def read(raw: bytes) -> Timeline:
    """Raises AssertionError where a rule is broken."""
    trace = Trace()
    trace.ParseFromString(raw)
    tracks = _tracks(trace)
    described: set[int] = set()
    for packet in trace.packet:
        assert packet.trusted_packet_sequence_id > 0
        if packet.HasField("track_descriptor"):
            assert packet.track_descriptor.parent_uuid in {0, *described}
            described.add(packet.track_descriptor.uuid)
        else:
            assert packet.track_event.track_uuid in described
    timeline = Timeline()
    timeline.units = {path: unit for path, unit in tracks.values() if unit}
    _replay([packet for packet in trace.packet if packet.HasField("track_event")], tracks, timeline)
    return timeline


def _tracks(trace: Any) -> dict[int, tuple[Path, str]]:
    """By number the track's path, and its unit if it is a counter."""
    tracks: dict[int, tuple[Path, str]] = {}
    pids: set[int] = set()
    tids: set[int] = set()
    for packet in trace.packet:
        if not packet.HasField("track_descriptor"):
            continue
        track = packet.track_descriptor
        name, unit = track.name, ""
        assert track.uuid > 0
        assert track.uuid not in tracks
        if track.HasField("process"):
            name = track.process.process_name
            assert track.process.pid > 0
            assert track.process.pid not in pids
            pids.add(track.process.pid)
        if track.HasField("thread"):
            name = track.thread.thread_name
            assert track.thread.pid in pids
            assert track.thread.tid not in tids | pids | {0}
            tids.add(track.thread.tid)
        if track.HasField("counter"):
            unit = track.counter.unit_name or str(track.counter.unit)
        assert name
        path = (*(tracks[track.parent_uuid][0] if track.parent_uuid else ()), name)
        assert path not in {path for path, _ in tracks.values()}
        tracks[track.uuid] = path, unit
    return tracks


def _replay(packets: list[Any], tracks: dict[int, tuple[Path, str]], timeline: Timeline) -> None:
    stacks: dict[Path, list[Slice]] = {}
    active: set[int] = set()
    for packet in sorted(packets, key=lambda packet: packet.timestamp):
        event, now = packet.track_event, packet.timestamp
        path, unit = tracks[event.track_uuid]
        assert (event.type == TrackEvent.TYPE_COUNTER) == bool(unit)
        if event.type == TrackEvent.TYPE_COUNTER:
            timeline.counters.setdefault(path, []).append((now, event.counter_value))
            continue
        args = {note.name: _value(note) for note in event.debug_annotations}
        stack = stacks.setdefault(path, [])
        if event.type == TrackEvent.TYPE_SLICE_END:
            assert stack, f"{path}: nothing to end at {now}"
            at = stack.pop()
            at.end = now
            at.args |= args
        else:
            assert event.name
            at = Slice(path, event.name, now, args)
            begins = event.type == TrackEvent.TYPE_SLICE_BEGIN
            (timeline.slices if begins else timeline.instants).append(at)
            if begins:
                stack.append(at)
        for flow in event.flow_ids:
            active.add(flow)
            timeline.flows.setdefault(flow, []).append(at)
        for flow in event.terminating_flow_ids:
            assert flow in active, f"flow {flow} ends at {now} and was never begun"
            active.remove(flow)
            timeline.flows[flow].append(at)
    assert not any(stacks.values()), "a slice never ends"


def _value(note: Any) -> Any:
    if note.dict_entries:
        return {entry.name: _value(entry) for entry in note.dict_entries}
    if note.array_values:
        return [_value(entry) for entry in note.array_values]
    kind = note.WhichOneof("value")
    return [] if kind is None else getattr(note, kind)
