//! A server that says back what it hears, with a number of its own, over TCP and UDP, and those who ask it. It runs in any
//! namespace: behind a provider (`peer.rs`), in the LAN, on the router. The kernel's own TCP: it remembers its connections,
//! and resets those that it has never seen.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::error::{During, Result};
use crate::namespace::Namespace;
use crate::sys;

/// A running server; ends when dropped.
pub struct Echo {
    stop: Arc<AtomicBool>,
    wake: Arc<File>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Echo {
    /// Serves `port`: TCP at every address, where each connection begins with one byte `number`; UDP at `addresses`, where each
    /// answer ends with it. (A UDP server bound to no address answers from whichever the routes like best.)
    pub fn start(namespace: &Namespace, port: u16, addresses: &[Ipv4Addr], number: u8) -> Result<Echo> {
        let operation = format!("serve port {port} in '{}'", namespace.name());
        let (listener, sockets) = namespace.run(|| {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).during(operation.clone())?;
            listener.set_nonblocking(true).during(operation.clone())?;
            let bind = |address: &Ipv4Addr| {
                let socket = UdpSocket::bind((*address, port)).during(operation.clone())?;
                socket.set_nonblocking(true).during(operation.clone())?;
                Ok(socket)
            };
            Ok((listener, addresses.iter().map(bind).collect::<Result<Vec<_>>>()?))
        })?;
        let stop = Arc::new(AtomicBool::new(false));
        let wake = Arc::new(sys::event_fd().during(operation.clone())?);
        let (stop_flag, wake_end) = (Arc::clone(&stop), Arc::clone(&wake));
        let serve = move || serve(&listener, &sockets, number, &stop_flag, &wake_end);
        let thread = std::thread::Builder::new().name(format!("echo {number}")).spawn(serve).during(operation)?;
        Ok(Echo { stop, wake, thread: Some(thread) })
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        _ = (&*self.wake).write(&1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}

fn serve(listener: &TcpListener, sockets: &[UdpSocket], number: u8, stop: &AtomicBool, wake: &File) {
    let mut connections: Vec<TcpStream> = Vec::new();
    let mut buffer = [0; 8192];
    while !stop.load(Ordering::Acquire) {
        let mut waited: Vec<&dyn sys::AsRawFdExt> = vec![wake, listener];
        waited.extend(sockets.iter().map(|socket| socket as &dyn sys::AsRawFdExt));
        waited.extend(connections.iter().map(|connection| connection as &dyn sys::AsRawFdExt));
        let Ok(ready) = sys::wait_readable(&waited, None) else { return };
        while let Ok((mut connection, _)) = listener.accept() {
            if connection.set_nonblocking(true).is_ok() && connection.write_all(&[number]).is_ok() {
                connections.push(connection);
            }
        }
        for socket in sockets {
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let answer = [buffer.get(..length).unwrap_or_default(), &[number]].concat();
                _ = socket.send_to(&answer, from);
            }
        }
        let mut ready = ready.into_iter().skip(2 + sockets.len());
        connections.retain_mut(|connection| {
            if !ready.next().unwrap_or(false) {
                return true;
            }
            match connection.read(&mut buffer) {
                Ok(0) => false,
                // What does not fit into the kernel's buffer ends the connection: nobody here asks for so much at once.
                Ok(length) => connection.write_all(buffer.get(..length).unwrap_or_default()).is_ok(),
                Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
            }
        });
    }
}

/// How an [`Echo`] is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A connection, one message, and its end.
    Tcp,
    /// A datagram.
    Udp,
}

/// Asks an [`Echo`] from a namespace, once for each (source, server), one after the other; the answers' numbers. `None`: no
/// connection, or not the right answer within `limit`.
pub fn ask(
    namespace: &Namespace,
    transport: Transport,
    asked: &[(Ipv4Addr, SocketAddrV4)],
    limit: Duration,
) -> Result<Vec<Option<u8>>> {
    namespace
        .run(|| Ok(asked.iter().map(|(source, server)| exchange(transport, *source, *server, limit).ok()).collect()))
}

const MESSAGE: &[u8] = b"Is anybody there?";

fn exchange(transport: Transport, source: Ipv4Addr, server: SocketAddrV4, limit: Duration) -> std::io::Result<u8> {
    let kind = if transport == Transport::Tcp { Type::STREAM } else { Type::DGRAM };
    let mut socket = Socket::new(Domain::IPV4, kind, None)?;
    socket.bind(&SocketAddrV4::new(source, 0).into())?;
    socket.set_read_timeout(Some(limit))?;
    socket.connect_timeout(&server.into(), limit)?;
    socket.write_all(MESSAGE)?;
    let mut answer = [0; MESSAGE.len() + 1];
    socket.read_exact(&mut answer)?;
    // Before the message, or behind it.
    let number = match (transport, answer) {
        (Transport::Tcp, [number, ..]) | (Transport::Udp, [.., number]) => number,
    };
    let [_, behind @ ..] = answer;
    let before = answer.get(..MESSAGE.len());
    let right = if transport == Transport::Tcp { behind == *MESSAGE } else { before == Some(MESSAGE) };
    if right { Ok(number) } else { Err(ErrorKind::InvalidData.into()) }
}
