// A Postrider sink as a component: what it exports, and what of Postrider it is given. build.sh makes sink.wasm of it.
import config from "postrider:sink/config@1.0.0";
import http from "postrider:sink/http@1.0.0";
import * as sink from "./sink.js";

let settings;

export const delivery = {
  deliver(event) {
    settings ??= JSON.parse(config.settings());
    return sink.deliver(event, settings, http);
  },
};

export const check = {
  check: (settings) => sink.check(JSON.parse(settings)),
};
