/** Where the page begins: a world, and everything that shows it. */

import { openWorld } from "./state/open";
import { start } from "./ui/start";

start(openWorld());
