//! Drawing a board.

use egress_core::api::SessionState;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::Line as Text;
use ratatui::widgets::{Cell, Row, Table};

use super::board::{Board, Line};
use crate::ctl::tables::{age, rate};

/// How the board is looked at.
#[derive(Debug, Default)]
pub struct View {
    /// The session that carries most first, in place of the order of ids.
    pub by_traffic: bool,
    /// Sessions above the upper edge.
    pub skipped: usize,
    /// Why there is nothing newer.
    pub trouble: Option<String>,
}

/// Draws the whole picture.
pub fn draw(frame: &mut Frame, board: &Board, view: &View) {
    let rows = Layout::vertical([Constraint::Length(1), Constraint::Min(1), Constraint::Length(1)]);
    let [head, body, foot] = rows.areas(frame.area());
    frame.render_widget(Text::from(summary(board)).bold(), head);
    sessions(frame, body, board, view);
    let help = " q quit   n by name   t by traffic   arrows, PgUp, PgDn, Home, End scroll";
    let foot_line = match &view.trouble {
        Some(trouble) => Text::from(format!(" {trouble}")).red(),
        None => Text::from(help).dim(),
    };
    frame.render_widget(foot_line, foot);
}

/// Sessions that fit below the titles.
pub fn page(area: Rect) -> usize {
    usize::from(area.height.saturating_sub(3))
}

fn summary(board: &Board) -> String {
    let states = SessionState::ALL.map(|state| (board.count(state), state.as_str()));
    let states = states.into_iter().filter(|(count, _)| *count > 0);
    let states: Vec<_> = states.map(|(count, state)| format!("{count} {state}")).collect();
    let (received, sent) = board.rates();
    let states = if states.is_empty() { "no sessions".to_owned() } else { states.join(", ") };
    format!(" {states}   received {}   sent {}", rate(received), rate(sent))
}

fn sessions(frame: &mut Frame, area: Rect, board: &Board, view: &View) {
    let lines = if view.by_traffic { board.by_traffic() } else { board.by_name() };
    let titles = [
        " SESSION",
        "STATE",
        "USER",
        "GATEWAY",
        "CREDENTIAL",
        "AGE",
        "HANDSHAKE",
        "RECEIVED",
        "SENT",
        "DROPPED",
        "REASON",
    ];
    let widths = [
        Constraint::Fill(3),
        Constraint::Length(13),
        Constraint::Fill(2),
        Constraint::Fill(3),
        Constraint::Fill(2),
        Constraint::Length(7),
        Constraint::Length(9),
        Constraint::Length(10),
        Constraint::Length(10),
        Constraint::Length(8),
        Constraint::Max(20),
    ];
    let table = Table::new(lines.into_iter().skip(view.skipped).map(row), widths)
        .header(Row::new(titles).style(Style::new().dim()));
    frame.render_widget(table, area);
}

fn row(line: &Line) -> Row<'_> {
    let carried = |show: fn(&super::board::Carried) -> String| {
        Cell::from(line.carried.as_ref().map(show).unwrap_or_default())
    };
    Row::new([
        Cell::from(format!(" {}", line.session_id)),
        Cell::from(line.state.as_str()).style(colour(line.state)),
        Cell::from(line.user.as_deref().unwrap_or_default()),
        Cell::from(line.gateway.as_deref().unwrap_or_default()),
        Cell::from(line.credential.as_deref().unwrap_or_default()),
        Cell::from(age(line.age_s)),
        carried(|it| it.handshake_age_s.map(age).unwrap_or_default()),
        carried(|it| rate(it.received_bytes_per_s)),
        carried(|it| rate(it.sent_bytes_per_s)),
        carried(|it| it.dropped_packets.to_string()),
        Cell::from(line.reason.as_deref().unwrap_or_default()),
    ])
}

fn colour(state: SessionState) -> Color {
    match state {
        SessionState::Connected => Color::Green,
        SessionState::Connecting | SessionState::Reconnecting | SessionState::Disconnecting => {
            Color::Yellow
        }
        SessionState::Blocked => Color::Red,
        SessionState::Closed => Color::DarkGray,
    }
}
