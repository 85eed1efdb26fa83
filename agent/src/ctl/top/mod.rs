//! `top`: every session, how it stands and what it carries, as it changes.

mod board;
mod live;
mod news;
mod picture;
#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal};
use std::pin::pin;

use crossterm::event::EventStream;
use futures_util::StreamExt;

pub use self::board::Board;
use super::arguments::{Output, Top};
use super::failure::Failure;
use super::screen::Screen;
use super::tables;
use crate::control::client::Client;

/// Shows pictures until they were enough, or until `q` at a terminal.
pub async fn top(client: &Client, top: &Top, screen: Screen) -> Result<(), Failure> {
    let filter = top.filter.filter(client).await?;
    let news = pin!(news::news(client, top.interval(), filter));
    let is_live = screen.output() == Output::Table && io::stdout().is_terminal();
    if !is_live || top.count.is_some() {
        return in_turn(news, top.count, screen).await;
    }
    let failed = |source| Failure::system("draw on the terminal", source);
    let mut terminal = ratatui::try_init().map_err(failed)?;
    let shown = live::show(&mut terminal, news, EventStream::new()).await;
    ratatui::try_restore().map_err(failed)?;
    shown
}

/// Prints one picture below the other. The first look at the agent gives none: it is what the
/// second one is compared with.
async fn in_turn(
    mut news: impl news::NewsStream,
    count: Option<u64>,
    screen: Screen,
) -> Result<(), Failure> {
    let mut board = Board::default();
    let mut left = count;
    while left != Some(0)
        && let Some(look) = news.next().await
    {
        if board.take(look?) {
            screen.show_line(&board, tables::top)?;
            left = left.map(|left| left - 1);
        }
    }
    Ok(())
}
