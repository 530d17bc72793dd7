//! Responses cut at every byte, put together oddly, or not responses at all.
//! The reader must take what is right, name what is wrong, and never panic.

use proptest::prelude::*;

use super::*;

const PLAIN: &[u8] = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n\
    content-length: 5\r\nX-Request-Id:  abc \r\n\r\nhello";
const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
    4;a=b\r\nWiki\r\n6\r\npedia \r\n0\r\nTrailer: 1\r\n\r\n";

fn whole(bytes: &[u8]) -> Response<'_> {
    let extent = Extent::find(bytes, false)
        .unwrap()
        .expect("a whole response");
    assert_eq!(extent.bytes(), bytes.len());
    extent.response(bytes)
}

#[test]
fn reads_status_headers_and_body() {
    let response = whole(PLAIN);
    assert_eq!(response.status, 201);
    assert_eq!(&*response.body, b"hello");
    assert_eq!(response.header("x-request-id"), Some("abc"));
    assert_eq!(response.header("location"), None);
    assert!(!response.closes);
}

#[test]
fn joins_chunks_and_skips_trailers() {
    assert_eq!(&*whole(CHUNKED).body, b"Wikipedia ");
}

#[test]
fn every_prefix_of_a_response_is_not_yet_a_response() {
    for response in [PLAIN, CHUNKED] {
        for end in 0..response.len() {
            assert_eq!(
                Extent::find(&response[..end], false),
                Ok(None),
                "cut at {end}"
            );
            let ended = Extent::find(&response[..end], true);
            assert_eq!(ended, Err(Malformed::CutShort), "ended at {end}");
        }
    }
}

#[test]
fn takes_only_the_first_of_two_pipelined_responses() {
    let both = [PLAIN, CHUNKED].concat();
    let first = Extent::find(&both, false).unwrap().expect("the first");
    assert_eq!(first.bytes(), PLAIN.len());
    let second = Extent::find(&both[first.bytes()..], false)
        .unwrap()
        .expect("the second");
    assert_eq!(second.bytes(), CHUNKED.len());
}

#[test]
fn skips_interim_responses() {
    let bytes = [b"HTTP/1.1 100 Continue\r\n\r\n", PLAIN].concat();
    assert_eq!(whole(&bytes).status, 201);
}

#[test]
fn some_answers_have_no_body_and_some_end_with_the_connection() {
    assert_eq!(&*whole(b"HTTP/1.1 204 No Content\r\n\r\n").body, b"");
    let old = b"HTTP/1.0 200 OK\r\n\r\nuntil the end";
    assert_eq!(Extent::find(old, false), Ok(None));
    let extent = Extent::find(old, true).unwrap().expect("ended");
    assert_eq!(&*extent.response(old).body, b"until the end");
    assert!(extent.response(old).closes);
    assert!(whole(b"HTTP/1.1 200 OK\r\nConnection: Close\r\ncontent-length:0\r\n\r\n").closes);
}

#[test]
fn names_what_is_wrong() {
    let cases: [(&[u8], Malformed); 11] = [
        (b"SSH-2.0-OpenSSH", Malformed::StatusLine),
        (b"HTTP/2.0 200 OK\r\n\r\n", Malformed::StatusLine),
        (b"HTTP/1.1 20 OK\r\n\r\n", Malformed::StatusLine),
        (b"HTTP/1.1 2000 OK\r\n\r\n", Malformed::StatusLine),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", Malformed::Header),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            Malformed::ContentLength,
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            Malformed::ContentLength,
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            Malformed::TooLong,
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            Malformed::Header,
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            Malformed::Chunk,
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
            Malformed::Chunk,
        ),
    ];
    for (bytes, expected) in cases {
        let found = Extent::find(bytes, false);
        assert_eq!(found, Err(expected), "{}", String::from_utf8_lossy(bytes));
    }
    let endless = [
        b"HTTP/1.1 200 OK\r\nA: ".as_slice(),
        &[b'a'; HEAD_BYTES_MAX],
    ]
    .concat();
    assert_eq!(Extent::find(&endless, false), Err(Malformed::TooLong));
}

proptest! {
    #[test]
    fn never_panics_and_never_takes_more_than_there_is(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        prefix in 0..PLAIN.len(),
        ended: bool,
    ) {
        for input in [bytes.clone(), [&PLAIN[..prefix], &bytes].concat(),
            [&CHUNKED[..prefix.min(CHUNKED.len())], &bytes].concat()]
        {
            if let Ok(Some(extent)) = Extent::find(&input, ended) {
                prop_assert!(extent.bytes() <= input.len());
                let response = extent.response(&input);
                prop_assert!(response.body.len() <= input.len());
            }
        }
    }

    #[test]
    fn a_body_comes_back_whole_however_it_is_framed(
        body in proptest::collection::vec(any::<u8>(), 0..300),
        chunk in 1_usize..40,
        cut in 0_usize..500,
    ) {
        let mut plain = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())
            .into_bytes();
        plain.extend_from_slice(&body);
        let mut chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for part in body.chunks(chunk) {
            chunked.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
            chunked.extend_from_slice(part);
            chunked.extend_from_slice(b"\r\n");
        }
        chunked.extend_from_slice(b"0\r\n\r\n");
        for bytes in [plain, chunked] {
            prop_assert_eq!(&*whole(&bytes).body, &body[..]);
            let early = cut.min(bytes.len() - 1);
            prop_assert_eq!(Extent::find(&bytes[..early], false), Ok(None));
        }
    }
}
