//! The picture at a terminal: newest look, keys, until `q`.

use std::io;

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use futures_util::{Stream, StreamExt};
use ratatui::Terminal;
use ratatui::backend::Backend;

use super::board::Board;
use super::news::NewsStream;
use super::picture::{View, draw, page};
use crate::ctl::failure::Failure;

/// Draws every look and answers every key until one means the end. An agent that does not answer
/// leaves the last picture standing, with the reason below it.
pub async fn show<B>(
    terminal: &mut Terminal<B>,
    mut news: impl NewsStream,
    mut keys: impl Stream<Item = io::Result<Event>> + Unpin,
) -> Result<(), Failure>
where
    B: Backend<Error: Send + Sync + 'static>,
{
    let (mut board, mut view) = (Board::default(), View::default());
    loop {
        let drawn = terminal.draw(|frame| {
            view.skipped = view.skipped.min(last(&board, page(frame.area())));
            draw(frame, &board, &view);
        });
        let failed = |error| Failure::system("draw on the terminal", io::Error::other(error));
        let area = drawn.map_err(failed)?.area;
        tokio::select! {
            look = news.next() => match look {
                Some(Ok(look)) => {
                    board.take(look);
                    view.trouble = None;
                }
                Some(Err(failure)) => view.trouble = Some(failure.text().trim_end().to_owned()),
                None => return Ok(()),
            },
            key = keys.next() => match key {
                Some(Ok(Event::Key(key))) if ends(key) => return Ok(()),
                Some(Ok(Event::Key(key))) => turn(&mut view, key.code, page(area)),
                Some(Ok(
                    Event::Resize(..)
                    | Event::Mouse(_)
                    | Event::FocusGained
                    | Event::FocusLost
                    | Event::Paste(_),
                )) => {}
                Some(Err(source)) => return Err(Failure::system("read the keyboard", source)),
                None => return Ok(()),
            },
        }
    }
}

/// The most sessions that may be above the upper edge.
fn last(board: &Board, page: usize) -> usize {
    board.by_name().len().saturating_sub(page)
}

fn ends(key: KeyEvent) -> bool {
    let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind != KeyEventKind::Release
        && (control_c || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "keyboards have more keys than we")]
fn turn(view: &mut View, key: KeyCode, page: usize) {
    match key {
        KeyCode::Char('n') => view.by_traffic = false,
        KeyCode::Char('t') => view.by_traffic = true,
        KeyCode::Up => view.skipped = view.skipped.saturating_sub(1),
        KeyCode::Down => view.skipped = view.skipped.saturating_add(1),
        KeyCode::PageUp => view.skipped = view.skipped.saturating_sub(page),
        KeyCode::PageDown => view.skipped = view.skipped.saturating_add(page),
        KeyCode::Home => view.skipped = 0,
        KeyCode::End => view.skipped = usize::MAX,
        _ => {}
    }
}
