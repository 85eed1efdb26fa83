//! The demo itself, act by act.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::thread::sleep;
use std::time::{Duration, Instant};

use egress_core::api::{
    AttachRequest, ContainmentProfile, DEADLINE_DEFAULT_MS, NetnsRef, OfferView, SessionState,
    SessionView,
};
use egress_core::catalog::Subject;
use egress_core::firewall::TABLE;
use egress_core::id::SessionId;
use egress_linux::{link, nft};
use serde_json::{Value, json};

use super::agent::Agent;
use super::far_end::{self, FarEnd};
use super::sniffer::Sniffer;
use super::stage::{CONTAINER, EXIT, GATEWAY, HOST, Stage};
use super::{Error, expect, failed, page, screen};

const USER: &str = "ann@example.org";
/// In everything that the container sends while the plug is out.
const CANARY: &str = "canary-in-a-coal-mine-8f3d";
const CUT: Duration = Duration::from_secs(5);
const BACK: Duration = Duration::from_secs(20);

/// Everything that is running.
struct Scene {
    stage: Stage,
    far_end: FarEnd,
    agent: Agent,
    sniffer: Sniffer,
}

/// Plays it. The calling process is the first of its own namespaces.
pub fn play() -> Result<(), Error> {
    let scene = set()?;
    scene.apply_a_catalog()?;
    let offer = scene.show_the_offers()?;
    let session = scene.attach(&offer)?;
    scene.ask_who_calls()?;
    scene.pull_the_plug()?;
    scene.detach(&session)?;
    scene.clear()
}

fn set() -> Result<Scene, Error> {
    screen::say("A container, a gateway and a pulled plug, in namespaces of their own.");
    let stage = Stage::build()?;
    page::open(stage.page)?;
    let far_end = FarEnd::start(stage.gateway)?;
    let sniffer = Sniffer::start(CANARY)?;
    let agent = Agent::start()?;
    screen::title("The scene");
    screen::line("host", HOST);
    screen::line("gateway", format!("{}, wireguard-go", far_end::ENDPOINT));
    screen::line("a page that says who calls", format!("http://{}/", page::ADDRESS.ip()));
    screen::line("container", "a network namespace with nothing in it");
    Ok(Scene { stage, far_end, agent, sniffer })
}

impl Scene {
    fn apply_a_catalog(&self) -> Result<(), Error> {
        let report = self.agent.apply(&catalog(&self.far_end))?;
        screen::title("A catalog is applied");
        for record in &report.created {
            let (kind, name) = record.split_once(' ').unwrap_or((record, ""));
            screen::line(kind, name);
        }
        expect(report.created.len() == 4, || "four records to be new".to_owned())
    }

    fn show_the_offers(&self) -> Result<OfferView, Error> {
        let mut offers = self.agent.offers(&subject(USER))?;
        screen::title("What may be chosen");
        for offer in &offers {
            let gateway = &offer.gateway;
            let place = format!("{}, {}", gateway.city, gateway.country);
            screen::line(USER, format!("{place} ({}/{})", gateway.provider, gateway.name));
        }
        let strangers = self.agent.offers(&subject("somebody@example.org"))?;
        expect(strangers.is_empty(), || "nothing to be offered to somebody else".to_owned())?;
        screen::line("somebody@example.org", "nothing");
        offers.pop().ok_or_else(|| Error::Unmet("the gateway to be offered".to_owned()))
    }

    fn attach(&self, offer: &OfferView) -> Result<SessionView, Error> {
        let session = self.agent.attach(&AttachRequest {
            session_id: session_id(),
            netns: NetnsRef::Path(self.stage.container.path()),
            subject: subject(USER),
            gateway: Some(offer.gateway.id),
            profile: ContainmentProfile::Sealed,
            deadline_ms: DEADLINE_DEFAULT_MS,
            challenge_response: None,
        })?;
        let took = session.timings_ms.unwrap_or_default();
        screen::title("The container is attached");
        screen::line("state", session.state.as_str());
        screen::line("seal closed and checked", milliseconds(took.seal));
        screen::line("gateway and credential chosen", milliseconds(took.select));
        screen::line("tunnel made and moved in", milliseconds(took.tunnel));
        screen::line("handshake, beside it", milliseconds(took.handshake));
        screen::line("seal opened for the tunnel", milliseconds(took.open));
        screen::line("the whole call", milliseconds(took.total));
        expect(session.state == SessionState::Connected, || "it to be connected".to_owned())?;
        Ok(session)
    }

    fn ask_who_calls(&self) -> Result<(), Error> {
        let step = "fetch the page from";
        let host = page::who_calls().map_err(failed(format!("{step} the host")))?;
        let container = self.stage.container.run(page::who_calls)?;
        let container = container.map_err(failed(format!("{step} the container")))?;
        screen::title("Who calls? The page sees");
        screen::line("the host as", host);
        screen::line("the container as", container);
        expect(host == IpAddr::from(HOST), || format!("the host to be seen as {HOST}"))?;
        expect(container == IpAddr::from(EXIT), || format!("the container to be seen as {EXIT}"))?;
        screen::line("", "which is the gateway");
        Ok(())
    }

    fn pull_the_plug(&self) -> Result<(), Error> {
        screen::title(&format!("The far end is cut for {} s", CUT.as_secs()));
        self.prove_the_sniffer()?;
        self.far_end.cut()?;
        let tries = self.stage.container.run(|| send_for(CUT))?;
        let tries = tries.map_err(failed("send from the container"))?;
        let heard = self.sniffer.take();
        self.far_end.restore()?;
        screen::line("packets the container tries", tries);
        screen::line("packets of the tunnel", heard.tunnel);
        screen::line("packets outside the tunnel", heard.outside);
        expect(heard.lost == 0, || "the sniffer to hear everything".to_owned())?;
        expect(heard.tunnel > 0, || "the tunnel to be heard".to_owned())?;
        expect(heard.outside == 0, || "no packet outside the tunnel".to_owned())?;
        expect(heard.canaries == 0, || "nothing to be read on the wire".to_owned())?;
        let back = self.wait_for_the_page()?;
        screen::line("the page answers again after", milliseconds(back.as_secs_f64() * 1e3));
        Ok(())
    }

    /// A leak that is none: the host itself sends the canary in clear.
    fn prove_the_sniffer(&self) -> Result<(), Error> {
        self.sniffer.take();
        let leak = UdpSocket::bind("0.0.0.0:0")
            .and_then(|socket| socket.send_to(CANARY.as_bytes(), page::ADDRESS));
        leak.map_err(failed("send from the host"))?;
        let heard = self.sniffer.take();
        screen::line("a packet in clear, as a proof", format!("{} heard", heard.outside));
        expect(heard.outside == 1 && heard.canaries == 1, || "the sniffer to hear it".to_owned())
    }

    fn wait_for_the_page(&self) -> Result<Duration, Error> {
        let start = Instant::now();
        loop {
            match self.stage.container.run(page::who_calls)? {
                Ok(_) => return Ok(start.elapsed()),
                Err(error) if start.elapsed() > BACK => {
                    return Err(failed("reach the page again")(error));
                }
                Err(_) => sleep(Duration::from_millis(50)),
            }
        }
    }

    fn detach(&self, session: &SessionView) -> Result<(), Error> {
        self.agent.release(&session.session_id)?;
        let (links, table) = self.stage.container.run(|| (link::links(), nft::exists(TABLE)))?;
        let links = links.map_err(failed("list the container's links"))?;
        let table = table.map_err(failed("read the container's rules"))?;
        let connections = self.agent.connections()?;
        screen::title("The container is detached");
        screen::line("live connections", connections);
        expect(connections == 0, || "no live connection".to_owned())?;
        expect(links.iter().all(|link| link.name != "eg0"), || "no tunnel in it".to_owned())?;
        expect(!table, || "no rule in it".to_owned())?;
        screen::line("left in it", "no link, rule or route");
        Ok(())
    }

    /// Ends everything in order, and looks whether it has ended.
    fn clear(self) -> Result<(), Error> {
        let Self { stage, far_end, agent, sniffer: _ } = self;
        far_end.stop()?;
        agent.stop()?;
        for place in [stage.container, stage.page, stage.gateway] {
            place.remove()?;
        }
        let running = others().map_err(failed("list processes"))?;
        expect(running.is_empty(), || format!("no process to go on: {}", running.join(", ")))
    }
}

/// The processes of the demo's own process tree besides this one, which is its first.
fn others() -> std::io::Result<Vec<String>> {
    let entries = fs::read_dir("/proc")?.flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    Ok(names.filter(|name| name != "1" && name.bytes().all(|b| b.is_ascii_digit())).collect())
}

fn subject(user: &str) -> Subject {
    Subject { user: Some(user.to_owned()), groups: Vec::new(), workspace: None }
}

fn session_id() -> SessionId {
    CONTAINER.parse().expect("the container's name is an id")
}

fn milliseconds(value: f64) -> String {
    format!("{value:.1} ms")
}

fn catalog(far_end: &FarEnd) -> Value {
    let FarEnd { public_key, client_key, .. } = far_end;
    let config = format!(
        "[Interface]\nDNS = {GATEWAY}\n[Peer]\nPublicKey = {public_key}\nEndpoint = {}\n\
         AllowedIPs = 0.0.0.0/0\n",
        far_end::ENDPOINT
    );
    json!({
        "provider": [{ "name": "demo", "type": "wireguard" }],
        "gateway": [{
            "provider": "demo", "name": "stockholm", "country": "Sweden", "city": "Stockholm",
            "config": config,
        }],
        "mapping": [{ "provider": "demo", "user": USER, "gateways": "all" }],
        "credential": [{
            "provider": "demo", "name": "one", "user": USER, "private_key": client_key.expose(),
            "address": [far_end::CLIENT], "gateways": "all", "active_connection_limit": 1,
        }],
    })
}

/// Sends whatever may get out for so long, and says how many times it tried.
fn send_for(length: Duration) -> std::io::Result<u64> {
    let (v4, v6) = (UdpSocket::bind("0.0.0.0:0")?, UdpSocket::bind("[::]:0")?);
    let places: [(&UdpSocket, SocketAddr); 5] = [
        (&v4, page::ADDRESS.into()),
        (&v4, SocketAddr::from((HOST, 9))),
        (&v4, SocketAddr::from((GATEWAY, 53))),
        (&v4, SocketAddr::from(([9, 9, 9, 9], 53))),
        (&v6, SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x80], 53))),
    ];
    let (start, mut tries) = (Instant::now(), 0);
    while start.elapsed() < length {
        for (socket, place) in places {
            // Most are refused at once, which is as good.
            let _ = socket.send_to(CANARY.as_bytes(), place);
            tries += 1;
        }
        let page = SocketAddr::from(page::ADDRESS);
        let _ = TcpStream::connect_timeout(&page, Duration::from_millis(20));
        tries += 1;
    }
    Ok(tries)
}
