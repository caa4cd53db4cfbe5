"""One provider, made from its entry: it authorizes, issues, renews, looks up, serves and revokes as the entry says."""

import base64
import hashlib
import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from tests.simulators.shapes import can_fill, fill, place_of, put, sample
from tests.simulators.signed import Unsigned, check_aws, check_oauth1, fingerprint, read_jwt

SECOND = 1000
STEPS = ("code", "upgrade", "refresh", "clientCredentials", "assertion", "revocation")
CLIENT_ID = "client-of-drio"
CLIENT_SECRET = "s3cret of the client/+"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@dataclass(frozen=True)
class Asked:
    """A request as it arrived."""

    method: str
    host: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    target: str = ""
    """Path and query as they stood in the request."""


@dataclass(frozen=True)
class Answer:
    """What goes back."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Refused(Exception):
    """What is wrong with a request, by the entry."""


class KeyRefused(Refused):
    """An assertion that the person's key did not make, or not as the entry says."""


@dataclass
class SimulatedProvider:
    """The state of one provider; `raw` is its entry, `variables` the customer's values."""

    raw: Mapping[str, Any]
    variables: Mapping[str, str]
    now: Callable[[], int]
    redirect_uri: str = ""
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    living: dict[str, int | None] = field(default_factory=dict)
    """Access tokens, and until when (milliseconds)."""
    renewable: dict[str, int] = field(default_factory=dict)
    """Refresh tokens, or what is swapped instead, and when they were issued."""
    revoked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    """Why requests were refused."""
    word: Mapping[str, Any] | None = None
    """The word of the entry with which consent or token requests are refused, while one is set."""
    api_word: Mapping[str, Any] | None = None
    """The same for calls of the API."""
    granted: str | None = None
    """The scopes as they are told, where that is fixed."""
    withheld: str | None = None
    """A scope that the person does not grant."""
    has_consented: bool = False
    """The person has allowed it before, which is why this consent brings no refresh token."""
    account: str | None = None
    """The `sub` of ID tokens; None for none."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """What the person was given, for providers of keys."""
    public_key: RSAPublicKey | None = None
    """That of the person's private key, for providers of JWTs."""
    clock_ahead: int = 0
    """How far this provider's clock is ahead of everybody's (milliseconds)."""

    def __post_init__(self) -> None:
        self.facts: dict[str, str] = {}
        for fact in self.raw.get("facts", ()):
            value = sample(fact.get("pattern"))
            self.facts[fact["name"]] = value

    # What is known here

    def part(self, name: str) -> dict[str, Any]:
        return dict(self.raw.get(name) or {})

    def values(self, **more: str) -> dict[str, str]:
        known = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "redirect_uri": self.redirect_uri}
        scope = fill(self.raw.get("scopeSeparator", " ").join(self.raw.get("scopes", ())), self.variables)
        installation = {"installation": self.keys["installation_id"]} if "installation_id" in self.keys else {}
        return {**self.variables, **self.facts, **known, **installation, "scope": scope, **more}

    def url(self, template: str | None) -> str | None:
        return fill(template, self.values()) if template and can_fill(template, self.values()) else None

    # The door

    def answer(self, asked: Asked) -> Answer:
        try:
            return self._answer(asked)
        except KeyRefused as error:
            self.complaints.append(f"{asked.method} {asked.host}{asked.path}: {error}")
            if self.raw["connectionType"] == "github_app":
                return Answer(401, {"message": str(error)})
            return Answer(400, {"error": "invalid_grant", "error_description": "It was refused."})
        except Refused as error:
            self.complaints.append(f"{asked.method} {asked.host}{asked.path}: {error}")
            return Answer(400, {"error": "invalid_request", "error_description": str(error)})

    def _answer(self, asked: Asked) -> Answer:
        here = (asked.host, asked.path)
        if self.raw.get("tokenEndpoint"):
            authorization = place_of(self.url(self.raw.get("authorizationEndpoint")) or "")
            if asked.method == "GET" and here == authorization and "state" in asked.query:
                return self.authorize(asked)
            is_signed = "connectionType" in self.raw
            usual = [step for step in STEPS if (step == "assertion") == is_signed or step == "revocation"]
            steps = [step for step in usual if here == self._place(step)]
            reasons = []
            for step in steps:
                try:
                    return self._step(step, asked)
                except KeyRefused:
                    raise
                except Refused as error:
                    reasons.append(f"as {step}: {error}")
            if reasons:
                raise Refused("; ".join(reasons))
        return self.api(asked)

    # RFC 6749 section 4.1.1

    def authorize(self, asked: Asked) -> Answer:
        rules, query = self.part("authorization"), dict(asked.query)
        wanted = {"response_type": "code", "client_id": CLIENT_ID, "redirect_uri": self.redirect_uri}
        names = {"scope": rules.get("scopeParameter", "scope"), **rules.get("names", {})}
        scopes = self.raw.get("scopes", ())
        is_on_app = self.part("scopeRules").get("isSetOnApp", False)
        if scopes and not is_on_app:
            wanted["scope"] = fill(self.raw.get("scopeSeparator", " ").join(scopes), self.variables)
        wanted = {names.get(name, name): v for name, v in wanted.items() if name not in rules.get("omit", ())}
        state = query.pop("state", "")
        if len(state) < 22:  # the most that any of them wants
            raise Refused("state is too short")
        for name, text in self.raw.get("authorizationParams", {}).items():
            wanted[name] = fill(text, self.values(nonce=query.get(name, "")))
            if not wanted[name]:
                raise Refused(f"{name} is empty")
        challenge = query.pop("code_challenge", None)
        method = query.pop("code_challenge_method", None)
        pkce = self.raw.get("pkce")
        if (pkce == "S256" and method != "S256") or (pkce == "none" and challenge is not None):
            raise Refused(f"pkce is {pkce}, and code_challenge_method {method}")
        if "prompt" not in wanted and "offline_access" in scopes and rules.get("prompt") != "never" and not is_on_app:
            wanted["prompt"] = "consent"
        _same(wanted, query)
        if self.word is not None:
            word = self.word
            denial = {"error": str(word.get("word", "some_error")), "error_description": word.get("text", "")}
            return self._back({"state": state, **{name: value for name, value in denial.items() if value}})
        code = secrets.token_urlsafe(12)
        self.codes[code] = {"challenge": challenge or ""}
        told = {
            fact.get("at", "/" + fact["name"])[1:]: self.facts[fact["name"]]
            for fact in self.raw.get("facts", ())
            if fact["source"] == "callback"
        }
        if parameter := self.part("scopeRules").get("callbackParameter"):
            told[parameter] = self._granted()
        return self._back({rules.get("codeParameter", "code"): code, "state": state, **told})

    def _back(self, parameters: Mapping[str, str]) -> Answer:
        return Answer(302, None, {"location": f"{self.redirect_uri}?{urlencode(parameters)}"})

    # The token endpoint and its neighbours

    def _rules(self, step: str) -> dict[str, Any]:
        if step == "revocation":
            return dict(self.part("revocation").get("request") or {})
        common, own = self.part("tokenRequest"), self.part(f"{step}Request")
        merged = {**common, **own}
        for name in ("names", "fields", "headers"):
            merged[name] = {**common.get(name, {}), **own.get(name, {})}
        merged["omit"] = [*common.get("omit", ()), *own.get("omit", ())]
        return merged

    def _place(self, step: str) -> tuple[str, str] | None:
        if step == "upgrade" and not self.raw.get("upgradeRequest"):
            return None
        usual = self.raw.get("revocationEndpoint") if step == "revocation" else self.raw["tokenEndpoint"]
        url = self.url(self._rules(step).get("url") or usual)
        return place_of(url) if url else None

    def _step(self, step: str, asked: Asked) -> Answer:
        rules, answers = self._rules(step), self.part("tokenAnswer")
        if asked.method != rules.get("method", "POST"):
            raise Refused(f"method {asked.method}")
        sent = _fields(asked, rules)
        for name, text in rules.get("headers", {}).items():
            if asked.headers.get(name.lower()) != fill(text, self.values()):
                raise Refused(f"header {name}")
        token = self._checked(step, asked, rules, sent)
        if self.word is not None and step != "revocation":
            return self._in_its_words(answers)
        if step == "revocation":
            self.revoked.append(token)
            return Answer(200, {"ok": True})
        if step == "refresh":
            self._renewable(token)
        elif step == "code":
            self._redeem(token, sent, rules)
        body = self._tokens(token if step == "refresh" else None, answers)
        if step == "code" and self.raw.get("upgradeRequest"):
            self.renewable.clear()  # a token that lives an hour, and is good for being swapped
            self.living[next(reversed(self.living))] = self.now() + 3600 * SECOND
        return Answer(200, body)

    def _checked(self, step: str, asked: Asked, rules: Mapping[str, Any], sent: dict[str, str]) -> str:
        """The code or token that is presented, once the fields are exactly those of the entry."""
        names, omit = rules.get("names", {}), rules.get("omit", ())
        subject = {"code": "code", "refresh": "refresh_token", "revocation": "token"}.get(step)
        presented = sent.get(names.get(subject, subject) or "", "") if subject else ""
        usual = {
            "code": {"grant_type": "authorization_code", "code": presented, "redirect_uri": self.redirect_uri},
            "refresh": {"grant_type": "refresh_token", "refresh_token": presented},
            "revocation": {"token": presented, "token_type_hint": sent.get("token_type_hint", "?")},
            "upgrade": {},
            "assertion": {"grant_type": JWT_BEARER, "assertion": sent.get("assertion", "")},
            "clientCredentials": {"grant_type": "client_credentials"},
        }[step]
        if step == "clientCredentials" and self.raw.get("scopes"):
            usual["scope"] = self.values()["scope"]
        last = next(reversed(self.living), "")
        method = rules.get("authMethod") or self.raw.get("tokenEndpointAuthMethod")
        if step == "assertion":
            bearer = asked.headers.get("authorization", "").removeprefix("Bearer ")
            last = sent.get("assertion") or bearer
            self._check_assertion(last)
        usual |= self._authentication(asked, method, last)
        if step == "code" and "code_verifier" in sent:
            usual["code_verifier"] = sent["code_verifier"]
        values = self.values(access_token=last, refresh_token=presented, nonce=sent.get("state", ""))
        extra = {name: fill(text, values) for name, text in rules.get("fields", {}).items()}
        wanted = {names.get(name, name): v for name, v in {**usual, **extra}.items() if name not in omit}
        _same(wanted, sent)
        if step == "revocation" and not presented:
            return last
        return presented

    def _check_assertion(self, token: str) -> None:
        """RFC 7523 section 3, with exactly the claims of the entry and times that fit."""
        assert self.public_key is not None
        try:
            header, claims = read_jwt(token, self.public_key)
        except (Unsigned, ValueError) as error:
            raise KeyRefused(f"the assertion: {error}") from None
        rules = self.part("assertion")
        upper = rules.get("upper", ())
        known = {
            **self.values(),
            "audience": self.url(self.raw.get("tokenEndpoint")) or "",
            "token_id": str(claims.get("jti", "")),
            "key_fingerprint": fingerprint(self.public_key),
            **{name: value for name, value in self.keys.items() if value},
        }
        known = {name: value.upper() if name in upper else value for name, value in known.items() if value}
        wanted = {name: fill(text, known) for name, text in rules["claims"].items() if can_fill(text, known)}
        told = {name: value for name, value in claims.items() if name not in {"iat", "exp"}}
        if told != wanted:
            raise KeyRefused(f"claims {sorted(told)} are not as the entry says")
        now = (self.now() + self.clock_ahead) // SECOND
        backdated = rules.get("backdatedSeconds", 0)
        longest = backdated + rules.get("lifetimeSeconds", 3600)
        if not claims["iat"] <= now - backdated or not now < claims["exp"] <= claims["iat"] + longest:
            raise KeyRefused("the assertion's times do not fit")
        if "key_id" in self.keys and header.get("kid") != self.keys["key_id"]:
            raise KeyRefused("another key id")

    def _authentication(self, asked: Asked, method: str | None, token: str) -> dict[str, str]:
        header = asked.headers.get("authorization", "")
        if method == "bearer":
            if header != f"Bearer {token}":
                raise Refused("the token is not presented as a bearer's")
            return {}
        if header.startswith("Basic ") and method in {None, "client_secret_basic"}:
            name, _, secret = base64.b64decode(header[6:]).decode().partition(":")
            if (unquote_plus(name), unquote_plus(secret)) != (CLIENT_ID, CLIENT_SECRET):
                raise Refused("another client")
            return {}
        if self.public_key is not None:
            own = {name: self.keys[name] for name in ("client_id", "client_secret") if name in self.keys}
            return own if method == "client_secret_post" else {"client_id": own["client_id"]}
        if method == "client_secret_basic":
            raise Refused("the client did not authenticate by Basic")
        if method == "none":
            return {"client_id": CLIENT_ID}
        return {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}

    def _redeem(self, code: str, sent: Mapping[str, str], rules: Mapping[str, Any]) -> None:
        known = self.codes.pop(code, None)
        if known is None:
            raise Refused("no such code")
        verifier = sent.get(rules.get("names", {}).get("code_verifier", "code_verifier"), "")
        digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        if known["challenge"] and digest != known["challenge"]:
            raise Refused("the verifier does not fit")

    def _renewable(self, token: str) -> None:
        issued = self.renewable.get(token)
        if issued is None:
            raise Refused("no such refresh token")
        if self.now() - issued < self.part("tokens").get("earliestRefreshSeconds", 0) * SECOND:
            raise Refused("renewed too early")
        if self.part("tokens").get("rotates") is not False:
            del self.renewable[token]

    def _tokens(self, renewed: str | None, answers: Mapping[str, Any]) -> Any:
        tokens, token = self.part("tokens"), secrets.token_urlsafe(12)
        kind = tokens.get("refreshedWith", "refresh_token")
        lifetime, unit = answers.get("lifetimeSeconds"), answers.get("expiresUnit", "seconds")
        body: Any = put({}, answers.get("accessToken", "/access_token"), token)
        is_told = lifetime is None and not (kind == "nothing" and "expires" not in answers)
        seconds = lifetime or (3600 if is_told else None)
        self.living[token] = None if seconds is None else self.now() + seconds * SECOND
        if is_told:
            body = put(body, answers.get("expires", "/expires_in"), _expiry(unit, 3600, self.now()))
        is_for_people = "authorizationEndpoint" in self.raw
        if renewed is None and self.account is not None:
            claims = json.dumps({"iss": "https://accounts.example", "sub": self.account})
            body["id_token"] = f"e30.{base64.urlsafe_b64encode(claims.encode()).decode().rstrip('=')}.c2ln"
        is_issued = not self.has_consented if renewed is None else tokens.get("rotates") is not False
        if kind == "refresh_token" and is_for_people and is_issued:
            refresh_token = secrets.token_urlsafe(12)
            self.renewable[refresh_token] = self.now()
            body = put(body, answers.get("refreshToken", "/refresh_token"), refresh_token)
        elif kind == "access_token":
            self.renewable[token] = self.now()
        if not self.part("scopeRules").get("callbackParameter"):
            body = put(body, answers.get("scope", "/scope"), self._granted())
        body = put(body, "/token_type", "bot")
        if "succeededAt" in answers:
            body = put(body, answers["succeededAt"], answers["succeededWith"][0])
        for fact in self.raw.get("facts", ()):
            if fact["source"] == "token":
                at = fact.get("at", "/" + fact["name"].replace(".", "/"))
                body = put(body, at, self.facts[fact["name"]])
        return body

    def _granted(self) -> str:
        """The scopes as this provider tells them: without those that others of them imply."""
        rules = self.part("scopeRules")
        if self.granted is not None:
            return self.granted
        if rules.get("isSetOnApp") or rules.get("isReported") is False:
            return "some.other"
        scopes = [fill(each, self.variables) for each in self.raw.get("scopes", ())]
        scopes = [each for each in scopes if each != self.withheld]
        for pattern, implied in rules.get("implies", {}).items():
            if "*" not in pattern and pattern in scopes:
                scopes = [each for each in scopes if each not in implied]
        return str(self.raw.get("scopeSeparator", " ").join(scopes))

    def _in_its_words(self, answers: Mapping[str, Any]) -> Answer:
        word = self.word or {}
        body: Any = {}
        if "succeededAt" in answers:
            body = put(body, answers["succeededAt"], False)
        error_at = word.get("at") or answers.get("error", "/error")
        body = put(body, error_at, word.get("word", "some_error"))
        if "text" in word:
            body = put(body, answers.get("description", "/error_description"), f"It says {word['text']}.")
        return Answer(word.get("status", 200 if "succeededAt" in answers else 400), body)

    # The API

    def api(self, asked: Asked) -> Answer:
        if self.api_word is not None:
            word = self.api_word
            body = put({}, word.get("at", "/error"), word["word"]) if "word" in word else {}
            if "text" in word:
                body = put(body, "/message", f"It says {word['text']}.")
                return Answer(word.get("status", 403), body)
            return Answer(word.get("status", 200), body)
        lookup = self.part("lookup")
        if lookup and (asked.host, asked.path) == place_of(self.url(lookup["url"]) or ""):
            return self._look_up(asked, lookup)
        if (asked.host, asked.path) not in set(self._own_places()) and not self._is_below_base(asked):
            return Answer(404, {"error": "not_found"})
        wrong = self._credential_fault(asked)
        if wrong is not None:
            self.complaints.append(f"{asked.method} {asked.host}{asked.path}: {wrong}")
            return Answer(401, {"error": "unauthorized", "message": wrong})
        for name, text in self.part("api").get("headers", {}).items():
            if can_fill(text, self.values()) and asked.headers.get(name.lower()) != fill(text, self.values()):
                raise Refused(f"header {name}")
        for name, text in self.part("api").get("query", {}).items():
            if asked.query.get(name) != fill(text, self.values()):
                raise Refused(f"parameter {name}")
        return Answer(200, {"id": "1"})

    def _own_places(self) -> Iterator[tuple[str, str]]:
        for template in (self.part("probe").get("url"), self.raw.get("userinfoEndpoint")):
            url = self.url((template or "").replace("{access_token}", "x"))
            if url:
                host, path = place_of(url)
                yield host, self._prefix() + path

    def _prefix(self) -> str:
        return fill(self.part("api").get("pathPrefix", ""), self.keys) if self.keys else ""

    def _is_below_base(self, asked: Asked) -> bool:
        base = self.url(self.part("api").get("baseUrl"))
        places = (
            [place_of(base)] if base else [place_of(url) for each in self.raw["apiOrigins"] if (url := self.url(each))]
        )
        return any(asked.host == host and asked.path.startswith(path.rstrip("/") + "/") for host, path in places)

    def _look_up(self, asked: Asked, lookup: Mapping[str, Any]) -> Answer:
        values = self.values(access_token=next(reversed(self.living), ""))
        for name, text in lookup.get("headers", {}).items():
            if asked.headers.get(name.lower()) != fill(text, values):
                raise Refused(f"header {name} of the lookup")
        if "Authorization" not in lookup.get("headers", {}) and (wrong := self._credential_fault(asked)):
            raise Refused(wrong)
        body: Any = {}
        for fact in self.raw.get("facts", ()):
            if fact["source"] == "lookup":
                body = put(body, fact.get("at", "/" + fact["name"]), self.facts[fact["name"]])
        return Answer(200, body)

    def _credential_fault(self, asked: Asked) -> str | None:
        kind = self.raw.get("connectionType")
        if kind in {"aws_sigv4", "oauth1"}:
            return self._signature_fault(asked, kind)
        if self.part("assertion").get("isBearer"):
            try:
                self._check_assertion(asked.headers.get("authorization", "").removeprefix("Bearer "))
            except Refused as error:
                return str(error)
            return None
        if self.raw["kind"] != "oauth":
            return self._key_fault(asked)
        name = self.raw.get("queryParamName")
        if "{access_token}" in self.part("probe").get("url", "") and "access_token" in asked.query:
            name = "access_token"
        if name:
            return self._token_fault(asked.query.get(name, ""))
        header = self.raw.get("headerName", "Authorization")
        prefix = self.raw.get("headerPrefix", "Bearer " if header == "Authorization" else "")
        told = asked.headers.get(header.lower(), "")
        return self._token_fault(told[len(prefix) :]) if told.startswith(prefix) else f"{header} is not {prefix}…"

    def _signature_fault(self, asked: Asked, kind: str) -> str | None:
        moment = datetime.fromtimestamp((self.now() + self.clock_ahead) / SECOND, UTC)
        try:
            if kind == "aws_sigv4":
                service, region = asked.host.split(".")[:2]
                check_aws(
                    asked.method,
                    asked.target,
                    asked.headers,
                    asked.body,
                    keys=self.keys,
                    region=region,
                    service=service,
                    now=moment.strftime("%Y%m%dT%H%M%SZ"),
                )
                return None
            rules = self.part("signature")
            realm = fill(rules["realm"], self.values()) if "realm" in rules else None
            check_oauth1(
                asked.method,
                f"https://{asked.host}{asked.target}",
                asked.headers,
                asked.body,
                keys=self.keys,
                realm=realm.upper().replace("-", "_") if realm and rules.get("isRealmSpelled") else realm,
                signature_method=rules["method"],
                now=int(moment.timestamp()),
            )
        except Unsigned as error:
            return str(error)
        return None

    def _token_fault(self, token: str) -> str | None:
        if token not in self.living:
            return "no such token"
        ends = self.living[token]
        return None if ends is None or ends > self.now() else "the token has run out"

    def _key_fault(self, asked: Asked) -> str | None:
        parts, keys = self.part("keyParts"), self.keys
        if self.raw["kind"] == "basic":
            user = fill(parts.get("username", "{username}"), keys)
            pair = f"{user}:{fill(parts.get('password', '{password}'), keys)}"
            wanted = {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
            return None if wanted.items() <= asked.headers.items() else "another pair"
        key = keys.get("access_token") or keys.get("api_key", "")
        second = keys.get("api_key_secret", "")
        if "secondHeaderName" in parts and asked.headers.get(parts["secondHeaderName"].lower()) != second:
            return "the second part is not in its header"
        if "secondQueryParamName" in parts and asked.query.get(parts["secondQueryParamName"]) != second:
            return "the second part is not in the query"
        if self._prefix():
            return None if asked.path.startswith(self._prefix() + "/") else "the key is not in the path"
        if "queryParamName" in self.raw and "headerName" not in self.raw:
            return None if asked.query.get(self.raw["queryParamName"]) == key else "another key in the query"
        header = self.raw.get("headerName", "Authorization")
        usual = "Bearer " if self.raw["kind"] == "bearer" else ""
        wanted_header = self.raw.get("headerPrefix", usual) + key
        return None if asked.headers.get(header.lower()) == wanted_header else f"another {header}"


def _fields(asked: Asked, rules: Mapping[str, Any]) -> dict[str, str]:
    kind = asked.headers.get("content-type", "")
    if asked.method == "GET" or rules.get("body") == "query":
        own = dict(parse_qsl(urlsplit(rules.get("url", "")).query, keep_blank_values=True))
        return {name: value for name, value in asked.query.items() if own.get(name) != value}
    if rules.get("body") == "json":
        if kind != "application/json":
            raise Refused(f"not JSON but {kind}")
        body = dict(json.loads(asked.body))
        has_pointers = any(name.startswith("/") for name in rules.get("fields", {}))
        return dict(_flat(body)) if has_pointers else body
    if kind != "application/x-www-form-urlencoded":
        raise Refused(f"not a form but {kind}")
    return dict(parse_qsl(asked.body.decode(), keep_blank_values=True))


def _flat(body: Mapping[str, Any], way: str = "") -> Iterator[tuple[str, str]]:
    """The values of nested objects by their pointers."""
    for name, value in body.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{way}/{name}")
        else:
            yield f"{way}/{name}", value


def _expiry(unit: str, seconds: int, now: int) -> Any:
    end = now + seconds * SECOND
    return {
        "seconds": seconds,
        "milliseconds": seconds * SECOND,
        "timestamp": end // SECOND,
        "timestamp-ms": end,
        "date-time": datetime.fromtimestamp(end / SECOND, UTC).isoformat().replace("+00:00", "Z"),
    }[unit]


def _same(wanted: Mapping[str, str], sent: Mapping[str, str]) -> None:
    if lacking := wanted.keys() - sent.keys():
        raise Refused(f"without {', '.join(sorted(lacking))}")
    if unknown := sent.keys() - wanted.keys():
        raise Refused(f"with {', '.join(sorted(unknown))}, which the entry does not say")
    for name, value in wanted.items():
        if sent[name] != value:
            raise Refused(f"{name} is not as the entry says")
