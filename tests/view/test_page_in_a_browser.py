"""The page in a headless Chromium, where there is one: it steps, shows the values of the run, and speaks to no one."""

import json
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

import graphnn as gn

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
if CHROMIUM is None or DRIVER is None:
    pytest.skip("there is no chromium with chromedriver here", allow_module_level=True)
webdriver = pytest.importorskip("selenium.webdriver")

from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--window-size=1300,800")  # fmt: skip
BATCH = 30


@pytest.fixture(scope="module")
def chromium():
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(executable_path=DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def run():
    """The spiral net on a batch, with every value that the test compares computed by hand."""
    with gn.default_dtype("float64"):
        points, labels = gn.data.spiral()
        X, T = points[::10], labels[::10]
        rng = np.random.RandomState(0)
        W1, b1, W2, b2 = rng.randn(2, 10), rng.randn(10), rng.randn(10, 3), rng.randn(3)
        x, t = gn.Input("x", ("N", 2)), gn.Input("t", ("N",), dtype="int64")
        h = gn.Sigmoid(x @ gn.Parameter("W1", W1) + gn.Parameter("b1", b1))
        scores = gn.Affine(h, gn.Parameter("W2", W2), gn.Parameter("b2", b2))
        loss = gn.SoftmaxCE(scores, t)
    H = 1 / (1 + np.exp(-(X @ W1 + b1)))
    S = H @ W2 + b2
    Y = np.exp(S) / np.exp(S).sum(axis=1, keepdims=True)
    dS = (Y - np.eye(3)[T]) / BATCH
    dA = dS @ W2.T * H * (1 - H)
    values = {"x": X, "W2": W2, "Sigmoid": H, "Affine": S, "L": -np.log(Y[range(BATCH), T]).mean(), "dL/dAffine": dS,
              "dL/dW2": H.T @ dS, "dL/db2": dS.sum(axis=0), "dL/dAdd": dA, "dL/dW1": X.T @ dA}  # fmt: skip
    return gn.Graph(loss), {"x": X, "t": T}, values


@pytest.fixture(scope="module")
def address(run, tmp_path_factory):
    graph, feeds, _ = run
    path = tmp_path_factory.mktemp("page") / "spiral.html"
    graph.render(path, feeds=feeds)
    return path.as_uri()


@pytest.fixture
def page(chromium, address):
    """The page, opened anew; what it logged and asked for is looked at when the test is over."""
    chromium.get_log("browser"), chromium.get_log("performance")
    chromium.get(address)
    yield Page(chromium)
    assert chromium.get_log("browser") == []
    assert requests(chromium) == {address}


def requests(driver):
    """The addresses that were asked for, those of the browser's own pages left out."""
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = {m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"}
    return {url for url in asked if not url.startswith("chrome:")}


class Page:
    def __init__(self, driver):
        self.driver = driver
        self.told = json.loads(self.by("#told").get_property("textContent"))
        self.names = [self.told["boxes"][i]["name"] for i in self.told["order"]]

    def by(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def click(self, selector):
        self.by(selector).click()

    def press(self, *keys):
        ActionChains(self.driver).send_keys(*keys).perform()

    def box(self, name):
        """The box in the picture of that name."""
        index = next(i for i, box in enumerate(self.told["boxes"]) if box["name"] == name)
        return self.all("#picture g.node")[index]

    @property
    def standing(self):
        """The place of the box that is marked in the picture."""
        return self.driver.execute_script("return groups.indexOf(document.querySelector('g.now'))")

    @property
    def name(self):
        return self.by("#panel h2").text

    @property
    def numbers(self):
        """The numbers that the panel shows as the value."""
        figure = self.by("#panel figure")
        cells = figure.find_elements(By.TAG_NAME, "td")
        return [float(cell.get_attribute("data-number")) for cell in cells]

    def wait(self, script):
        """Until the script says true: a picture glides for a quarter of a second."""
        done = "const [done] = arguments; const ask = () => (%s) ? done(true) : setTimeout(ask, 20); ask()"
        self.driver.set_script_timeout(20)
        assert self.driver.execute_async_script(done % script)


def test_clicks_step_through_the_run_forward_and_then_backward(page):
    assert page.name == "spiral" and page.by("#count").text == f"{len(page.names)} steps"
    assert not page.by("#back").is_enabled()
    for step, name in enumerate(page.names, 1):
        page.click("#next")
        assert page.name == name and page.by("#count").text == f"{step} / {len(page.names)}"
        assert page.standing == page.told["order"][step - 1]
    assert page.names.index("L") < page.names.index("dL/dAffine") < page.names.index("dL/dW1")
    assert not page.by("#next").is_enabled()
    page.click("#back")
    assert page.name == page.names[-2]
    page.click("#halves .forward")
    assert page.name == page.names[0]
    said = page.driver.execute_script(
        "const pale = (text) => getComputedStyle(text).fillOpacity < 1;"
        "return [...document.querySelectorAll('#picture > text')].filter(pale).map((text) => text.textContent)"
    )
    assert "× (1 - Sigmoid)" in said and not {"forward", "backward", "adjoint of Affine"} & set(said)
    page.click("#halves .backward")
    assert page.name == page.names[sum(box["half"] == "forward" for box in page.told["boxes"])]
    page.click("#start")
    assert page.name == "spiral"


def test_the_values_shown_are_those_of_the_run(page, run):
    for name, expected in run[2].items():
        page.press("0")  # all of the picture
        page.box(name).click()
        assert page.name == name
        if expected.ndim == 0:
            assert page.by("#panel .scalar").text == f"{expected:.4g}"
        elif expected.size <= 64:
            np.testing.assert_allclose(page.numbers, expected.ravel(), rtol=1e-12)
        caption = page.by("#panel figcaption").text
        if expected.ndim:
            low, high = (f"{end:.4g}" for end in (expected.min(), expected.max()))
            assert f"from {low} to {high}" in caption.replace("−", "-")
        assert f"[{', '.join(map(str, expected.shape))}]" in caption


def test_a_node_shows_its_gradient_beside_its_value_and_leads_to_where_it_arrives(page, run):
    page.box("W2").click()
    assert [h.text for h in page.all("#panel h3")] == ["Value", "Gradient dL/dW2"]
    cells = page.all("#panel figure:last-of-type td")
    shown = [float(cell.get_attribute("data-number")) for cell in cells]
    np.testing.assert_allclose(shown, run[2]["dL/dW2"].ravel(), rtol=1e-12)
    next(button for button in page.all("#panel .links button") if button.text == "dL/dW2").click()
    assert page.name == "dL/dW2"


def test_many_numbers_are_a_heat_map_and_a_histogram(page, run):
    page.driver.execute_script("go(order.findIndex((box) => boxes[box].name === 'dL/dAdd'))")
    assert len(page.all("#panel figure .histogram rect")) == 24
    canvas = page.by("#panel figure canvas")
    assert (canvas.get_property("width"), canvas.get_property("height")) == (10, BATCH)
    assert "from" in canvas.accessible_name
    pixels = np.array(page.driver.execute_script(
        "return [...arguments[0].getContext('2d').getImageData(0, 0, 10, 30).data]", canvas
    )).reshape(BATCH, 10, 4)  # fmt: skip
    large = np.abs(run[2]["dL/dAdd"]) > 0.2 * np.abs(run[2]["dL/dAdd"]).max()
    redder = pixels[..., 0] > pixels[..., 2]
    np.testing.assert_array_equal(redder[large], run[2]["dL/dAdd"][large] > 0)


def test_keys_step_search_and_cross_the_mirror(page):
    page.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
    assert page.name == page.names[0]
    page.press(Keys.END)
    assert page.name == page.names[-1] == "dL/dW1"
    page.press("m")
    assert page.name == "MatMul" and page.by("#picture g.now") == page.box("MatMul")
    page.press("/", "soft", Keys.ARROW_DOWN, Keys.ENTER)
    assert page.name == [name for name in page.names if name in ("L", "Softmax")][1]
    page.press("/", "nowhere at all")
    assert page.by("#found").text == "Nothing by that name"
    page.press(Keys.ESCAPE, Keys.HOME)
    assert page.name == "spiral" and not page.by("#found").is_displayed()


@pytest.mark.slow
def test_it_plays_by_itself_until_it_is_told_to_stop(page):
    page.press(" ")
    assert page.by("#play").get_attribute("aria-label") == "Pause" and page.name == page.names[0]
    page.wait("at === 1")
    page.click("#play")
    assert page.by("#play").get_attribute("aria-pressed") == "false"


def test_pointing_at_a_node_tells_its_spec_formula_and_line(page):
    assert not page.by("#hint").is_displayed()
    ActionChains(page.driver).move_to_element(page.box("Sigmoid")).perform()
    lines = [line.text for line in page.all("#hint div")]
    assert lines[:2] == ["Sigmoid = 1 / (1 + exp(-Add))", "f64[N, 10]"]
    assert "gn.Sigmoid(x @" in lines[2] and lines[3].startswith("test_page_in_a_browser.py:")
    ActionChains(page.driver).move_to_element(page.by("h1")).perform()
    assert not page.by("#hint").is_displayed()


def test_it_pans_and_zooms(page):
    def camera():
        return page.driver.execute_script("return [camera.x, camera.y, camera.scale]")

    x, _, scale = camera()
    stage = page.by("#stage")
    ActionChains(page.driver).drag_and_drop_by_offset(stage, -100, 0).perform()
    assert camera()[0] == pytest.approx(x + 100 / scale) and page.name == "spiral"  # no click came of it
    before = page.box("Sigmoid").rect
    middle = {"x": int(before["x"] + 5), "y": int(before["y"] + 5)}
    page.driver.execute_cdp_cmd(
        "Input.dispatchMouseEvent", {"type": "mouseWheel", **middle, "deltaX": 0, "deltaY": -400}
    )
    page.wait(f"camera.scale > {scale}")
    after = page.box("Sigmoid").rect
    assert after["width"] > before["width"] * 1.5
    assert abs(after["x"] - before["x"]) < 8  # what is under the pointer stays there
    page.press("0")
    assert camera()[2] == pytest.approx(scale)
    page.click("#closer")
    assert camera()[2] > scale


@pytest.fixture
def phone(chromium):
    metrics = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    chromium.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 2})
    yield
    chromium.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def touch(driver, kind, *points):
    there = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]
    driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": there})


def test_a_phone_steps_by_touch_and_pinches(phone, page):
    assert page.driver.execute_script("return document.documentElement.scrollWidth") <= 390
    for button in page.all("#buttons button"):
        assert min(button.rect["width"], button.rect["height"]) >= 44
    next_button = page.by("#next").rect
    point = (next_button["x"] + 20, next_button["y"] + 20)
    touch(page.driver, "touchStart", point)
    touch(page.driver, "touchEnd")
    page.wait("at === 0")
    assert page.name == page.names[0]
    page.wait("!camera.gliding")
    scale, x = page.driver.execute_script("return [camera.scale, camera.x]")
    touch(page.driver, "touchStart", (150, 200), (200, 200))
    for far in range(0, 60, 10):
        touch(page.driver, "touchMove", (150 - far, 200), (200 + far, 200))
    touch(page.driver, "touchEnd")
    page.wait(f"camera.scale > {scale * 1.5}")
    x = page.driver.execute_script("return camera.x")
    touch(page.driver, "touchStart", (250, 200))
    for far in range(0, 90, 15):
        touch(page.driver, "touchMove", (250 - far, 200))
    touch(page.driver, "touchEnd")
    page.wait(f"camera.x > {x + 5}")


def test_nothing_widens_the_page_of_a_phone(chromium, phone, tmp_path):
    xs, w = gn.Input("xs", ("T", 1, 2)), gn.Parameter("w" * 100, np.eye(2))
    last, _ = gn.Scan(lambda h, x: (gn.Tanh(h @ w + x), h), init=np.zeros((1, 2)), xs=xs)
    path = tmp_path / f"{'long' * 30}.html"
    gn.Graph(gn.Sum(last)).render(path, feeds={"xs": np.ones((30, 1, 2))})
    chromium.get(path.as_uri())
    widths = "return [...order.keys(), -1].map((step) => (go(step), document.documentElement.scrollWidth))"
    assert set(chromium.execute_script(widths)) == {390}
    assert "Scan" in [box["op"] for box in Page(chromium).told["boxes"]]


def test_a_screen_reader_is_told_each_step_and_every_control_has_a_name(page):
    live = page.by("#announce")
    assert live.get_attribute("aria-live") == "polite" and live.aria_role == "status"
    page.press(Keys.END)
    text = live.get_property("textContent")
    assert text.startswith(
        f"Step {len(page.names)} of {len(page.names)}, backward: dL/dW1 = x.T @ dL/dAdd, f64[2, 10]. from "
    )
    for control in page.all("button, input, canvas, [role=img], #stage, #panel"):
        assert control.accessible_name, control.get_attribute("outerHTML")
    node = page.by("#picture g.now")
    assert node.aria_role == "button" and node.accessible_name == "dL/dW1, f64[2, 10], backward"
    assert node.get_attribute("tabindex") == "0" and node.get_attribute("aria-current") == "step"
    assert len(page.all("#picture g.node[tabindex='0']")) == 1  # one stop for the tab key, not one for each box


def test_it_follows_the_colour_scheme_of_the_reader(page):
    def dark(value):
        features = [{"name": "prefers-color-scheme", "value": value}]
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        style = "const style = getComputedStyle(arguments[0]); return [style.backgroundColor, style.color]"
        return [sum(map(int, c.strip("rgb()").split(","))) for c in page.driver.execute_script(style, page.by("body"))]

    paper, ink = dark("dark")
    assert paper < 150 and ink > 600
    paper, ink = dark("light")
    assert paper > 700 and ink < 150


def test_what_is_not_finite_stands_out(chromium, tmp_path):
    x = gn.Input("x", (3,))
    path = tmp_path / "odd.html"
    gn.Graph(gn.Sum(gn.Log(x))).render(path, feeds={"x": [1.0, 0.0, -1.0]})
    chromium.get(path.as_uri())
    page = Page(chromium)
    assert [button.text for button in page.all("#panel .links button")][:2] == ["Log", "L"]
    page.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert page.name == "Log" and [cell.text for cell in page.all("#panel td.odd")] == ["-inf", "nan"]
    assert "2 not finite" in page.by("#panel figcaption").text
    assert len(page.all("#picture g.odd")) == 2


def test_hostile_names_stay_text_in_a_browser(chromium, hostile, tmp_path):
    path = tmp_path / "hostile.html"
    hostile.render(path, feeds={})
    chromium.get_log("browser")
    chromium.get(path.as_uri())
    page = Page(chromium)
    for _ in page.names:
        page.press(Keys.ARROW_RIGHT)
    assert chromium.get_log("browser") == []
    assert not page.all("#picture script, #picture a, #panel b, #panel script, img, iframe")
    page.driver.execute_script("go(order.findIndex((box) => boxes[box].name.startsWith('<b>')))")
    assert page.name == "<b>bold</b>"


def test_a_server_is_asked_for_the_page_alone(chromium, run, tmp_path):
    graph, feeds, _ = run
    graph.render(tmp_path / "net.html", feeds=feeds)
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, form, *words):
            asked.append(words[0])

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=tmp_path)) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        chromium.get_log("browser")
        chromium.get(f"http://127.0.0.1:{server.server_port}/net.html")
        page = Page(chromium)
        page.press(Keys.END)
        assert page.name == page.names[-1] and chromium.get_log("browser") == []
        chromium.get("about:blank")
        server.shutdown()
        serving.join()
    assert asked == ["GET /net.html HTTP/1.1"]
