//! Takes the ports. Fails at once and says what to do, before any data is touched.
//! Never tries another port than the one that was asked for.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

use super::doors::Place;
use crate::cli::exit::{self, Failure};

/// Connections that the system keeps until they are accepted: a burst of clients must not be
/// refused.
const BACKLOG: u32 = 4_096;

/// A place with its port taken.
pub struct Opened {
    /// The place; its address is the one that was really taken.
    pub place: Place,
    /// Its port.
    pub listener: TcpListener,
}

/// Why a port cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("{failure}")]
pub struct NotOpened {
    /// With the code for it.
    pub failure: Failure,
    /// Another server has it.
    pub is_in_use: bool,
}

/// Listens at all places, except for optional ones whose address this machine does not have.
///
/// # Errors
///
/// [`NotOpened`], about the first port that cannot be had.
pub fn open(places: Vec<Place>) -> Result<Vec<Opened>, NotOpened> {
    let mut opened = Vec::new();
    for mut place in places {
        let listener = match listen(place.address) {
            Err(error) if place.is_optional && is_missing(&error) => continue,
            listened => listened.map_err(|error| NotOpened {
                failure: failed(&place, &error),
                is_in_use: error.kind() == ErrorKind::AddrInUse,
            })?,
        };
        // It listens, so the system knows where.
        place.address = listener.local_addr().unwrap_or(place.address);
        opened.push(Opened { place, listener });
    }
    Ok(opened)
}

fn failed(place: &Place, error: &io::Error) -> Failure {
    let other = format!("choose another address {}", place.way_out());
    let (why, way_out) = match error.kind() {
        ErrorKind::AddrInUse => (
            "the port is in use".to_owned(),
            format!("stop the other server, or {other}"),
        ),
        ErrorKind::PermissionDenied => ("ports below 1024 need special rights".to_owned(), other),
        ErrorKind::AddrNotAvailable => ("this machine has no such address".to_owned(), other),
        _ => (error.to_string(), other),
    };
    let purpose = if place.dialects.is_empty() {
        String::new()
    } else {
        format!(" for {}", place.contents())
    };
    let what = format!("cannot listen on {}{purpose}: {why}", place.address);
    Failure::new(exit::UNAVAILABLE, what, way_out)
}

/// Whether the machine does not have the address: no such interface, or not even the protocol.
fn is_missing(error: &io::Error) -> bool {
    /// EAFNOSUPPORT of Linux, macOS and FreeBSD, which has no `ErrorKind`.
    const PROTOCOL_MISSING: [i32; 2] = [97, 47];
    let code = error.raw_os_error();
    error.kind() == ErrorKind::AddrNotAvailable
        || code.is_some_and(|code| PROTOCOL_MISSING.contains(&code))
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
    use crate::order::Dialect;

    fn place(address: SocketAddr, dialects: &[Dialect], is_optional: bool) -> Place {
        Place {
            address,
            is_native: dialects.is_empty(),
            dialects: dialects.into(),
            is_optional,
        }
    }

    /// Why a port that is taken already cannot be had again.
    fn refused(dialects: &[Dialect]) -> (SocketAddr, String) {
        let free = place("127.0.0.1:0".parse().unwrap(), &[], false);
        let first = open(vec![free]).unwrap();
        let address = first[0].place.address;
        let again = open(vec![place(address, dialects, true)]);
        let refused = again.err().unwrap();
        assert!(refused.is_in_use);
        assert_eq!(refused.failure.code, exit::UNAVAILABLE);
        (address, refused.failure.message)
    }

    #[tokio::test]
    async fn a_port_in_use_is_named_with_the_way_out() {
        let (address, message) = refused(&[]);
        assert_eq!(
            message,
            format!(
                "cannot listen on {address}: the port is in use; stop the other server, or choose \
                 another address with --listen"
            )
        );
    }

    #[tokio::test]
    async fn a_port_in_use_is_named_with_the_dialects_that_want_it() {
        let (address, message) = refused(&[Dialect::OrderService, Dialect::ApiV1]);
        assert_eq!(
            message,
            format!(
                "cannot listen on {address} for order_service, api_v1: the port is in use; stop \
                 the other server, or choose another address with compat.order_service.listen and \
                 compat.api_v1.listen, or leave it out of --compat=NAMES"
            )
        );
    }

    #[tokio::test]
    async fn only_an_optional_address_may_be_missing() {
        // Of the range for documentation: no machine has it.
        let nowhere: SocketAddr = "[2001:db8::1]:0".parse().unwrap();
        assert!(
            open(vec![place(nowhere, &[Dialect::ApiV1], true)])
                .unwrap()
                .is_empty()
        );
        let refused = open(vec![place(nowhere, &[Dialect::ApiV1], false)])
            .err()
            .unwrap();
        assert!(!refused.is_in_use);
        assert_eq!(refused.failure.code, exit::UNAVAILABLE);
    }
}
