//! ubus messages in a stream of bytes: whatever the socket delivers is cut into frames, and the frames that ubus-zero has no
//! word for are built here. Fed by the connection in the shell; what is inside a call goes on to `ubus_call` and `ubus_value`.

use ubus::BlobMsgTable;
use ubus::envelope::{EnvBuilder, UbusAttr, find};
use ubus::wire::{Codec, Frame, HEADER_SIZE, MAX_MSG_LEN, MsgType, ObjId, PROTO_VERSION};

/// The number of the system object that takes and delivers events.
const EVENTS: u32 = 1;

/// The stream cannot be followed any further: the next frame's beginning is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A header's first byte is not 0.
    #[error("ubusd speaks version {0} of the protocol, not 0")]
    Version(u8),
    /// A body shorter than its own header or longer than 1 MiB.
    #[error("ubusd sent a message with an impossible length of {0} bytes")]
    Length(usize),
}

/// Cuts a stream of bytes into frames.
///
/// Read frames until there is none before pushing more: then the buffer never holds more than one frame and one push.
#[derive(Debug, Default)]
pub struct FrameReader {
    buffer: Vec<u8>,
    /// Where the first frame that was not handed out yet begins.
    start: usize,
}

/// A buffer beyond this is given back when it is empty, so one large message does not stay in memory for ever.
const KEEP: usize = 16 * 1024;

impl FrameReader {
    /// Takes in what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.start = 0;
        if self.buffer.is_empty() && self.buffer.capacity() > KEEP {
            self.buffer = Vec::new();
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame. Frames of unknown types are skipped, as the protocol asks of a receiver.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            let rest = self.buffer.get(self.start..).unwrap_or_default();
            // ubus-zero takes a header that stands alone at the end for a whole frame; on a stream it is only half of one.
            let Some((&[version, _, _, _, _, _, _, _], [_, high, middle, low, ..])) =
                rest.split_first_chunk::<HEADER_SIZE>()
            else {
                return Ok(None);
            };
            if version != PROTO_VERSION {
                return Err(FrameError::Version(version));
            }
            let body = u32::from_be_bytes([0, *high, *middle, *low]) as usize;
            if !(4..=MAX_MSG_LEN).contains(&body) {
                return Err(FrameError::Length(body));
            }
            let Some(bytes) = rest.get(..HEADER_SIZE + body) else { return Ok(None) };
            self.start += bytes.len();
            if let Ok((frame, _)) = Codec::read_frame(bytes) {
                return Ok(Some(frame));
            }
        }
    }

    /// Bytes held that are not a whole frame yet (after `next_frame` said there is none).
    pub fn pending(&self) -> usize {
        self.buffer.len() - self.start
    }
}

/// A notification to the subscribers of `object`, to which ubusd answers only if something is wrong.
pub fn notification(object: ObjId, sequence: u16, name: &str, data: &BlobMsgTable) -> Frame {
    let mut body = EnvBuilder::new();
    body.push_u32(UbusAttr::ObjId, object.get());
    body.push_str(UbusAttr::Method, name);
    body.push_data(data.contents());
    body.push_u8(UbusAttr::NoReply, 1);
    Frame::to_peer(MsgType::Notify, sequence, object.get(), body.finish())
}

/// ubusd's answer tells whether it is alive.
pub fn ping(sequence: u16) -> Frame {
    Frame::to_broker(MsgType::Ping, sequence, EnvBuilder::new().finish())
}

/// Registers an object without a name, to receive notifications and events with; the answer's data is its id.
pub fn nameless_object(sequence: u16) -> Frame {
    Frame::to_broker(MsgType::AddObject, sequence, EnvBuilder::new().finish())
}

/// Has the notifications of `target` delivered to our object `subscriber`.
pub fn subscription(subscriber: ObjId, target: ObjId, sequence: u16) -> Frame {
    let mut body = EnvBuilder::new();
    body.push_u32(UbusAttr::ObjId, subscriber.get());
    body.push_u32(UbusAttr::Target, target.get());
    Frame::to_broker(MsgType::Subscribe, sequence, body.finish())
}

/// Has the events named `event` delivered to our object `listener`.
pub fn event_registration(listener: ObjId, event: &str, sequence: u16) -> Frame {
    let arguments = BlobMsgTable::build(|table| {
        table.put_i32(Some("object"), listener.get().cast_signed());
        table.put_str(Some("pattern"), event);
    });
    events("register", &arguments, sequence)
}

/// Sends an event: its name as `id`, its contents as `data`.
pub fn event(event: &BlobMsgTable, sequence: u16) -> Frame {
    events("send", event, sequence)
}

fn events(method: &str, arguments: &BlobMsgTable, sequence: u16) -> Frame {
    let mut body = EnvBuilder::new();
    body.push_u32(UbusAttr::ObjId, EVENTS);
    body.push_str(UbusAttr::Method, method);
    body.push_data(arguments.contents());
    Frame::to_peer(MsgType::Invoke, sequence, EVENTS, body.finish())
}

/// ubusd's word that an object we subscribed to is gone: which.
pub fn vanished(frame: &Frame) -> Option<ObjId> {
    if frame.hdr.ty != MsgType::Unsubscribe {
        return None;
    }
    find(&frame.payload, UbusAttr::Target).and_then(|target| target.as_u32()).and_then(ObjId::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(kind: u8, body: usize) -> Vec<u8> {
        let mut bytes = vec![0, kind, 0, 7, 0, 0, 0, 9];
        bytes.extend_from_slice(&u32::try_from(body + 4).unwrap().to_be_bytes());
        bytes.resize(bytes.len() + body, 0xaa);
        bytes
    }

    #[test]
    fn frames_arrive_whole_however_the_bytes_do() {
        let stream: Vec<u8> = [frame(0, 0), frame(2, 8), frame(99, 40), frame(1, 3), frame(5, 70_000)].concat();
        for chunk in [1, 2, 7, 8, 11, 12, 13, 4096, stream.len()] {
            let mut reader = FrameReader::default();
            let mut seen = Vec::new();
            for bytes in stream.chunks(chunk) {
                reader.push(bytes);
                while let Some(frame) = reader.next_frame().unwrap() {
                    seen.push((frame.hdr.ty as u8, frame.payload.len()));
                }
            }
            assert_eq!(seen, [(0, 4), (2, 12), (1, 7), (5, 70_004)], "chunks of {chunk}; type 99 is skipped");
            assert_eq!(reader.pending(), 0);
        }
    }

    #[test]
    fn impossible_lengths_and_versions_end_the_stream() {
        for (bytes, error, why) in [
            (vec![1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4], FrameError::Version(1), "version 1"),
            (vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3], FrameError::Length(3), "a body counts its own four bytes"),
            (vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 1], FrameError::Length(1_048_577), "one byte over 1 MiB"),
            (vec![0, 99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], FrameError::Length(0), "of an unknown type too"),
        ] {
            let mut reader = FrameReader::default();
            reader.push(&bytes);
            assert_eq!(reader.next_frame(), Err(error), "{why}");
        }
        let mut reader = FrameReader::default();
        reader.push(&frame(2, 1_048_572));
        assert_eq!(reader.next_frame().unwrap().map(|frame| frame.payload.len()), Some(1_048_576), "exactly 1 MiB");
    }

    #[test]
    fn a_large_message_does_not_keep_its_memory() {
        let mut reader = FrameReader::default();
        reader.push(&frame(2, 500_000));
        assert!(reader.next_frame().unwrap().is_some());
        reader.push(&frame(0, 0));
        assert!(reader.buffer.capacity() <= KEEP);
        assert!(reader.next_frame().unwrap().is_some());
    }

    #[test]
    fn a_notification_is_what_the_c_daemon_was_captured_with() {
        let data = BlobMsgTable::build(|table| table.put_str(Some("iface"), "wan"));
        let frame = notification(ObjId::new(0xaa72_4564).unwrap(), 4, "wan.down", &data);
        let captured = "000a0004aa724564000000380300000 8aa7245640400000d77616e2e646f776e00000000\
                        0700001483000010000569666163650077616e000a00000501000000";
        let captured: String = captured.split_whitespace().collect();
        let ours: String = Codec::write_frame(&frame).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(ours, captured);
    }

    #[test]
    fn an_event_registration_is_what_the_c_library_was_captured_with() {
        let frame = event_registration(ObjId::new(0x040d_3134).unwrap(), "network.*", 2);
        let captured = "0005000200000001000000500300000800000001 0400000d7265676973746572000000000700003485000014 \
                        00066f626a65637400000000040d31348300001a00077061747465726e0000006e6574776f726b2e2a000000";
        let captured: String = captured.split_whitespace().collect();
        let ours: String = Codec::write_frame(&frame).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(ours, captured);
    }

    #[test]
    fn a_vanished_target_is_read_from_its_message_alone() {
        let mut body = EnvBuilder::new();
        body.push_u32(UbusAttr::ObjId, 4242);
        body.push_u32(UbusAttr::Target, 4711);
        let body = body.finish();
        let told = Frame::to_broker(MsgType::Unsubscribe, 1, body.clone());
        assert_eq!(vanished(&told), ObjId::new(4711));
        assert_eq!(vanished(&Frame::to_broker(MsgType::Notify, 1, body)), None);
        assert_eq!(vanished(&Frame::to_broker(MsgType::Unsubscribe, 1, vec![0, 0, 0, 4])), None, "no target");
    }

    proptest! {
        #[test]
        fn any_bytes_are_frames_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..600), chunk in 1usize..40) {
            let mut reader = FrameReader::default();
            'stream: for bytes in bytes.chunks(chunk) {
                reader.push(bytes);
                loop {
                    match reader.next_frame() {
                        Ok(Some(frame)) => { let _ = ubus::InboundMsg::parse(&frame); }
                        Ok(None) => break,
                        Err(_) => break 'stream,
                    }
                }
            }
        }

        #[test]
        fn cutting_does_not_depend_on_the_reads(
            bodies in proptest::collection::vec((0u8..14, proptest::collection::vec(any::<u8>(), 0..80)), 1..8),
            chunk in 1usize..50,
        ) {
            let mut stream = Vec::new();
            for (kind, body) in &bodies {
                stream.extend_from_slice(&[0, *kind, 1, 2, 3, 4, 5, 6]);
                stream.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
                stream.extend_from_slice(body);
            }
            let mut reader = FrameReader::default();
            let mut seen = Vec::new();
            for bytes in stream.chunks(chunk) {
                reader.push(bytes);
                while let Some(frame) = reader.next_frame().unwrap() {
                    seen.push((frame.hdr.ty as u8, frame.payload[4..].to_vec()));
                }
            }
            let known: Vec<_> = bodies.into_iter().filter(|(kind, _)| *kind <= 11).collect();
            prop_assert_eq!(seen, known);
        }
    }
}
