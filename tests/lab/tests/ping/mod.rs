//! One ping through one device, from a raw socket: the simplest thing failoverd will do in the lab.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use lab::Lab;
use socket2::{Domain, Protocol, Socket, Type};

/// The round-trip time of one echo request from the router, bound to `device`; `None` without a right answer in time.
pub(crate) fn ping(lab: &Lab, device: &str, target: Ipv4Addr, limit: Duration) -> Option<Duration> {
    let socket = lab
        .router()
        .namespace()
        .run(|| {
            let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4)).unwrap();
            socket.bind_device(Some(device.as_bytes())).unwrap();
            Ok(socket)
        })
        .unwrap();
    let start = Instant::now();
    let id = std::process::id() as u16;
    let mut request = [8, 0, 0, 0, (id >> 8) as u8, id as u8, 0, 1, b'l', b'a', b'b', b'!'];
    let sum: u32 = request.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    request[2..4].copy_from_slice(&sum.to_be_bytes());
    socket.send_to(&request, &SocketAddrV4::new(target, 0).into()).unwrap();
    while start.elapsed() < limit {
        socket.set_read_timeout(Some(limit.saturating_sub(start.elapsed()).max(Duration::from_millis(1)))).unwrap();
        let mut reply = [0u8; 256];
        let Ok(length) = (&socket).read(&mut reply) else { return None };
        let right_source = reply[12..16] == target.octets();
        if length == 20 + request.len() && right_source && reply[20] == 0 && reply[24..32] == request[4..] {
            return Some(start.elapsed());
        }
    }
    None
}
