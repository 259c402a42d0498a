/** Where the page begins: a world, and everything that shows it. */

import { expose } from "./state/debug";
import { openWorld } from "./state/open";
import { start } from "./ui/start";

const world = await openWorld();
expose(world);
start(world);
