//! A Kafka broker that only counts: one partition for every topic, every batch is taken.

use collector::fmt::kafka::{Reader, Writer};
use std::io::{Error, Read, Result, Write};
use std::net::TcpStream;

/// Where the head of a batch says how many records there are.
const COUNT: usize = 57;

/// Serves one connection; `taken` is told the messages of each batch.
pub fn serve(mut stream: &TcpStream, port: u16, taken: impl Fn(u64)) -> Result<()> {
    let mut bytes = Vec::new();
    loop {
        let mut head = [0; 4];
        stream.read_exact(&mut head)?;
        bytes.resize(u32::from_be_bytes(head) as usize, 0);
        stream.read_exact(&mut bytes)?;
        let mut answer = vec![0; 4];
        reply(&bytes, port, &taken, &mut answer).ok_or_else(|| Error::other("not a request of ours"))?;
        let len = (answer.len() - 4) as u32;
        answer[..4].copy_from_slice(&len.to_be_bytes());
        stream.write_all(&answer)?;
    }
}

fn reply(bytes: &[u8], port: u16, taken: &impl Fn(u64), answer: &mut Vec<u8>) -> Option<()> {
    let mut r = Reader::new(bytes, false);
    let mut w = Writer::new(answer, false);
    let (api, _, id) = (r.i16().ok()?, r.i16().ok()?, r.i32().ok()?);
    r.string().ok()?;
    w.i32(id);
    match api {
        // An old broker: it does not know the version of this question, and says which it knows.
        18 => {
            w.i16(35);
            w.count(4);
            [[0, 3, 8], [3, 0, 4], [18, 0, 0], [22, 0, 0]].concat().into_iter().for_each(|v| w.i16(v));
        }
        3 => {
            w.i32(0);
            w.count(1);
            w.i32(1);
            w.string("127.0.0.1");
            w.i32(port.into());
            w.nullable_string(None);
            w.nullable_string(None);
            w.i32(1);
            w.count(r.count(2).ok()?);
            w.i16(0);
            w.string(r.string().ok()?);
            w.i8(0);
            w.count(1);
            [0, 0, 0, 0, 1].into_iter().for_each(|v| w.i16(v));
            w.count(0);
            w.count(0);
        }
        22 => {
            w.i32(0);
            w.i16(0);
            w.i64(1);
            w.i16(0);
        }
        _ => {
            r.nullable_string().ok()?;
            r.take(6).ok()?;
            w.count(r.count(1).ok()?);
            w.string(r.string().ok()?);
            w.count(r.count(1).ok()?);
            w.i32(r.i32().ok()?);
            taken(u32::from_be_bytes(*r.bytes().ok()?.get(COUNT..)?.first_chunk()?).into());
            w.i16(0);
            [0, -1, 0].into_iter().for_each(|v| w.i64(v));
            w.count(0);
            w.nullable_string(None);
            w.i32(0);
        }
    }
    Some(())
}
