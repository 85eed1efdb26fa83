//! However a dialogue is cut, it says the same; and however it goes on, it stays bounded.

use egress_core::openvpn::management::{ENVIRONMENT_MAX, LINE_MAX, Message, Parser};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::dialogues::DIALOGUES;

fn whole(bytes: &[u8]) -> Vec<Message> {
    Parser::new().feed(bytes)
}

fn in_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Message> {
    let mut parser = Parser::new();
    pieces.into_iter().flat_map(|piece| parser.feed(piece)).collect()
}

#[test]
fn a_dialogue_that_comes_byte_by_byte_says_the_same() {
    for (name, bytes) in DIALOGUES {
        assert_eq!(in_pieces(bytes.chunks(1)), whole(bytes), "{name}");
    }
}

#[test]
fn a_dialogue_in_two_halves_says_the_same_wherever_it_is_cut() {
    let short = DIALOGUES.iter().filter(|(_, bytes)| bytes.len() < 3000);
    let mut cuts = 0;
    for (name, bytes) in short {
        let expected = whole(bytes);
        for at in 0..=bytes.len() {
            let (first, second) = bytes.split_at(at);
            assert_eq!(in_pieces([first, second]), expected, "{name} cut at {at}");
            cuts += 1;
        }
    }
    assert!(cuts > 10_000, "only {cuts}");
}

#[test]
fn a_line_may_be_so_long_and_no_longer() {
    let text = "x".repeat(LINE_MAX);
    assert_eq!(whole(format!("{text}\n").as_bytes()), [Message::Text(text.clone())]);
    let endless = format!("{text}x");
    assert_eq!(whole(endless.as_bytes()), [Message::TooLong]);
    let and_on = format!("{endless}{text}\r\nEND\r\n");
    assert_eq!(in_pieces(and_on.as_bytes().chunks(7)), [Message::TooLong, Message::End]);
}

#[test]
fn a_block_without_an_end_stays_bounded() {
    let variables: String = (0..=ENVIRONMENT_MAX)
        .flat_map(|n| [">UPDOWN:ENV,v".to_owned(), n.to_string(), "=x\n".to_owned()])
        .collect();
    let block = format!(">UPDOWN:UP\n{variables}>UPDOWN:ENV,END\nEND\n");
    let malformed = Message::Malformed { source: "UPDOWN".to_owned() };
    assert_eq!(whole(block.as_bytes()), [malformed.clone(), Message::End]);
    assert_eq!(whole(b">UPDOWN:ENV,a=b\n"), std::slice::from_ref(&malformed));
    assert_eq!(whole(b">UPDOWN:ENV,END\n"), std::slice::from_ref(&malformed));
    let [first, Message::Down(environment)] = &whole(
        b">UPDOWN:UP\n>UPDOWN:ENV,a=b\n>UPDOWN:DOWN\n>UPDOWN:ENV,c=d\n>UPDOWN:ENV,END\n",
    )[..] else {
        panic!("not two messages");
    };
    assert_eq!(*first, malformed);
    assert_eq!(environment.iter().collect::<Vec<_>>(), [("c", "d")]);
}

#[test]
fn lines_that_cannot_be_read_say_only_what_they_are() {
    for line in [
        ">STATE:",
        ">STATE:x,WAIT",
        ">STATE:1,",
        ">STATE:99999999999999999999,WAIT,,",
        ">BYTECOUNT:1",
        ">BYTECOUNT:1,2,3",
        ">BYTECOUNT:-1,2",
        ">LOG:1,I",
        ">HOLD:",
        ">HOLD:Waiting for hold release:x",
        ">PASSWORD:",
        ">PASSWORD:Need 'Auth'",
        ">PASSWORD:Need 'Auth' username/password SC:x,y",
        ">REMOTE:a,b,udp",
        ">REMOTE:a,0,udp",
        ">REMOTE:a,1,quic",
        ">UPDOWN:",
        ">UPDOWN:ENV,x",
        ">NEED-OK:x",
        ">NOTIFY:a,b",
        ">ECHO:x",
    ] {
        let source = line[1..].split(':').next().unwrap().to_owned();
        let bytes = format!("{line}\r\n");
        assert_eq!(whole(bytes.as_bytes()), [Message::Malformed { source }], "{line}");
    }
    let unknown = Message::Unknown { source: "CLIENT".to_owned() };
    assert_eq!(whole(b">CLIENT:ENV,password=hunter2\n"), [unknown]);
}

#[test]
fn texts_for_people_have_no_control_characters() {
    let said = whole(b">FATAL:\x1b[2J\x00x\xff\n");
    assert_eq!(said, [Message::Fatal("\u{fffd}[2J\u{fffd}x\u{fffd}".to_owned())]);
}

fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        ">STATE:",
        ">LOG:",
        ">PASSWORD:",
        ">UPDOWN:UP",
        ">UPDOWN:ENV,",
        ">UPDOWN:ENV,END",
        ">HOLD:",
        "Need '",
        "' username/password",
        "Verification Failed: 'Auth'",
        " ['",
        "']",
        "CRV1:",
        "R,E:",
        "TEMP[",
        "]:",
        ",",
        ":",
        "=",
        "\r\n",
        "\n",
        "\r",
        "ENTER PASSWORD:",
        "SUCCESS: ",
        "ERROR: ",
        "END",
        "1795351848",
        "WAIT",
        " SC:1,",
        "MSG:",
        "' confirmation ",
        "\0",
        "\u{feff}",
    ]);
    prop_oneof![
        4 => known.prop_map(|text| text.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..9),
    ]
}

proptest! {
    #[test]
    fn a_dialogue_in_random_pieces_says_the_same(
        which in 0..DIALOGUES.len(),
        lengths in vec(1_usize..2000, 1..40),
    ) {
        let (_, bytes) = DIALOGUES[which];
        let mut rest = bytes;
        let mut pieces = Vec::new();
        for length in lengths.into_iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, behind) = rest.split_at(length.min(rest.len()));
            pieces.push(piece);
            rest = behind;
        }
        prop_assert_eq!(in_pieces(pieces), whole(bytes));
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in vec(any::<u8>(), 0..4000)) {
        let _ = whole(&bytes);
    }

    #[test]
    fn bytes_of_known_words_say_the_same_however_they_are_cut(
        fragments in vec(fragment(), 0..80),
        size in 1_usize..64,
    ) {
        let bytes = fragments.concat();
        prop_assert_eq!(in_pieces(bytes.chunks(size)), whole(&bytes));
    }
}
