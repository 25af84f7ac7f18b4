//! Streams of MQTT packets in pieces.

use crate::fmt::mqtt::{Decoder, MAX_REST, Packet, is_filter, is_topic, publish};

/// The first byte says in pieces of how many bytes the rest comes: what is read is the same as in one piece, messages can be
/// written again, and memory stays bounded.
pub fn mqtt(data: &[u8]) {
    let Some((&size, stream)) = data.split_first() else { return };
    assert_eq!(read(stream, size.into()), read(stream, stream.len()));
}

/// Packets, and why the stream could not be read on.
fn read(stream: &[u8], piece: usize) -> Vec<String> {
    const PAYLOAD: usize = 1 << 10;
    let (mut decoder, mut told) = (Decoder::new(PAYLOAD), Vec::new());
    for part in stream.chunks(piece.max(1)) {
        decoder.room(part.len()).copy_from_slice(part);
        decoder.filled(part.len());
        loop {
            match decoder.next_packet() {
                Ok(None) => break,
                Ok(Some(packet)) => {
                    match packet {
                        Packet::Publish(message) => {
                            assert!(message.payload.len() <= PAYLOAD && message.lost <= MAX_REST);
                            assert_eq!(message.qos == 0, message.id == 0);
                            assert!(is_topic(message.topic) && publish(&message, &mut Vec::new()));
                        }
                        Packet::Subscribe { topics, .. } | Packet::Unsubscribe { topics, .. } => {
                            assert!(topics.count() > 0 && topics.into_iter().all(|(text, _)| is_filter(text)));
                        }
                        _ => {}
                    }
                    told.push(format!("{packet:?}"));
                }
                Err(wrong) => {
                    told.push(wrong.to_string());
                    return told;
                }
            }
        }
        decoder.rest();
        // A packet that is no message may be longer than the payload of one.
        assert!(decoder.memory() <= 4 * (PAYLOAD + (128 << 10) + (64 << 10) + stream.len()), "{}", decoder.memory());
    }
    told
}
