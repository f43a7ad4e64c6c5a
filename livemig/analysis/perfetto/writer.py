"""Track events as Perfetto reads them: packets, written one by one; nothing but the open slices is remembered.

Timestamps are integer ns. Packets need not be in order: Perfetto sorts them by time, those of one instant by their
place in the file. On one track slices must nest. See perfetto.dev/docs/reference/synthetic-track-event.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO, Final

from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import CounterDescriptor, TracePacket, TrackEvent
from perfetto.trace_builder.proto_builder import StreamingTraceProtoBuilder

Args = Mapping[str, Any]
"""What is shown of an event: integers, strings, and lists and mappings of these; None is left out."""

_SEQUENCE: Final = 1
_BYTES: Final = CounterDescriptor.UNIT_SIZE_BYTES


class Writer:
    """Writes a trace to ``file``.

    Raises:
        OSError: it cannot be written; from every method.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._builder = StreamingTraceProtoBuilder(file)
        self._tracks = 0
        self._open: dict[int, int] = {}

    # ── tracks: each gives the number by which events refer to it ──

    def process(self, pid: int, name: str) -> int:
        """``pid`` > 0."""
        packet = self._descriptor(None)
        packet.track_descriptor.process.pid = pid
        packet.track_descriptor.process.process_name = name
        return self._written(packet)

    def thread(self, process: int, pid: int, tid: int, name: str) -> int:
        """``tid``: unlike every other in the trace."""
        packet = self._descriptor(process)
        thread = packet.track_descriptor.thread
        thread.pid, thread.tid, thread.thread_name = pid, tid, name
        return self._written(packet)

    def track(self, name: str, parent: int | None = None) -> int:
        packet = self._descriptor(parent)
        packet.track_descriptor.name = name
        return self._written(packet)

    def counter(self, name: str, unit: str, parent: int | None = None) -> int:
        """``unit``: ``bytes``, or any other name."""
        packet = self._descriptor(parent)
        packet.track_descriptor.name = name
        if unit == "bytes":
            packet.track_descriptor.counter.unit = _BYTES
        else:
            packet.track_descriptor.counter.unit_name = unit
        return self._written(packet)

    def _descriptor(self, parent: int | None) -> TracePacket:
        self._tracks += 1
        packet = self._builder.create_packet()
        packet.track_descriptor.uuid = self._tracks
        if parent is not None:
            packet.track_descriptor.parent_uuid = parent
        return packet

    def _written(self, packet: TracePacket) -> int:
        packet.trusted_packet_sequence_id = _SEQUENCE
        self._builder.write_packet(packet)
        return self._tracks

    # ── events ──

    def begin(self, track: int, t_ns: int, name: str, args: Args, flow: int = 0) -> None:
        """A slice begins; ``flow`` > 0 ties it to what has or will have the same."""
        self._open[track] = self._open.get(track, 0) + 1
        self._event(TrackEvent.TYPE_SLICE_BEGIN, track, t_ns, name, args, flow)

    def end(self, track: int, t_ns: int, args: Args, flow: int = 0) -> None:
        """The slice that began last on ``track`` ends; ``args`` and ``flow`` are added to it."""
        self._open[track] -= 1
        self._event(TrackEvent.TYPE_SLICE_END, track, t_ns, "", args, flow)

    def instant(self, track: int, t_ns: int, name: str, args: Args, last_of_flow: int = 0) -> None:
        """``last_of_flow`` > 0: that flow ends here."""
        self._event(TrackEvent.TYPE_INSTANT, track, t_ns, name, args, 0, last_of_flow)

    def count(self, track: int, t_ns: int, value: int) -> None:
        packet = self._builder.create_packet()
        packet.timestamp = t_ns
        packet.trusted_packet_sequence_id = _SEQUENCE
        packet.track_event.type = TrackEvent.TYPE_COUNTER
        packet.track_event.track_uuid = track
        packet.track_event.counter_value = value
        self._builder.write_packet(packet)

    def close(self, t_ns: int) -> None:
        """End every slice that is open."""
        for track, depth in self._open.items():
            for _ in range(depth):
                self._event(TrackEvent.TYPE_SLICE_END, track, t_ns, "", {"end": "of the log"}, 0)
        self._open.clear()

    def _event(self, kind: int, track: int, t_ns: int, name: str, args: Args, flow: int, last: int = 0) -> None:
        packet = self._builder.create_packet()
        packet.timestamp = t_ns
        packet.trusted_packet_sequence_id = _SEQUENCE
        event = packet.track_event
        event.type = kind
        event.track_uuid = track
        if name:
            event.name = name
        if flow:
            event.flow_ids.append(flow)
        if last:
            event.terminating_flow_ids.append(last)
        for key, value in args.items():
            if value is not None:
                _annotate(event.debug_annotations.add(name=key), value)
        self._builder.write_packet(packet)


def _annotate(annotation: Any, value: Any) -> None:
    match value:
        case int():
            # TB and its like are unsigned
            setattr(annotation, "int_value" if value < 0 else "uint_value", value)
        case Mapping():
            for key, entry in value.items():
                _annotate(annotation.dict_entries.add(name=key), entry)
        case list():
            for entry in value:
                _annotate(annotation.array_values.add(), entry)
        case _:
            annotation.string_value = str(value)
