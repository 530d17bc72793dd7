//! Takes the port. Fails at once and says what to do, before any data is touched.
//! Never tries another port than the one that was asked for.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

use crate::cli::exit::{self, Failure};

/// Connections that the system keeps until they are accepted: a burst of clients must not be
/// refused.
const BACKLOG: u32 = 4_096;

/// Listens on an address.
///
/// # Errors
///
/// [`Failure`] with the code for ports that cannot be had.
pub fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    listen(address).map_err(|error| {
        let way_out = match error.kind() {
            ErrorKind::AddrInUse => {
                "the port is in use; stop the other server, or choose another address with --listen"
                    .into()
            }
            ErrorKind::PermissionDenied => {
                "ports below 1024 need special rights; choose another address with --listen".into()
            }
            ErrorKind::AddrNotAvailable => {
                "this machine has no such address; choose another with --listen".into()
            }
            _ => format!("{error}; choose another address with --listen"),
        };
        Failure::new(
            exit::UNAVAILABLE,
            format!("cannot listen on {address}: {way_out}"),
        )
    })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // Connections of a server that has just ended must not keep the next one from the port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_in_use_is_named_with_the_way_out() {
        let first = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = first.local_addr().unwrap();
        let failure = bind(address).unwrap_err();
        assert_eq!(failure.code, exit::UNAVAILABLE);
        assert_eq!(
            failure.message,
            format!(
                "cannot listen on {address}: the port is in use; stop the other server, or choose \
                 another \
                 address with --listen"
            )
        );
    }
}
