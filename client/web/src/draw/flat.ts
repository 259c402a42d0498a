/** The light renderer: the city from straight above on one canvas. */

import { Backdrop } from "./backdrop";
import { dusk } from "./dusk";
import { paintGround } from "./ground";
import { Labels } from "./labels";
import { People } from "./people";
import { lightPlaces, paintPlaces } from "./places";
import { RegionLayer } from "./regions";
import type { Hit, Renderer, Scene } from "./renderer";
import { Things } from "./things";
import { Tiles } from "./tiles";

export class FlatRenderer implements Renderer {
  private readonly ink: CanvasRenderingContext2D;
  private readonly people = new People();
  private readonly labels = new Labels();
  private readonly things = new Things();
  private readonly regions = new RegionLayer();
  private readonly tiles: Tiles;
  private readonly backdrop: Backdrop;
  private scene: Scene | null = null;
  private ratio = 1;

  constructor(private readonly canvas: HTMLCanvasElement) {
    const ink = canvas.getContext("2d", { alpha: false });
    if (ink === null) throw new Error("this browser gives no canvas");
    this.ink = ink;
    this.tiles = new Tiles((pen, patch) => {
      const scene = this.scene;
      if (scene === null || scene.city === null) return;
      paintGround(pen, patch, scene.city, scene.places);
      paintPlaces(pen, patch, scene.places);
      dusk(pen, patch, scene.city, scene.places);
      lightPlaces(pen, patch, scene.places);
    });
    this.backdrop = new Backdrop(this.tiles);
  }

  resize(width: number, height: number, ratio: number): void {
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.ratio = ratio;
  }

  renew(): void {
    this.tiles.renew();
    this.labels.forget();
  }

  draw(scene: Scene, nowMs: number): void {
    this.scene = scene;
    const { camera } = scene;
    const ink = this.ink;
    const ratio = this.ratio;
    ink.setTransform(1, 0, 0, 1, 0, 0);
    ink.globalAlpha = 1;
    ink.globalCompositeOperation = "source-over";
    const frame = {
      east: camera.east,
      north: camera.north,
      scale: camera.scale * ratio,
      width: this.canvas.width,
      height: this.canvas.height,
    };
    const crowd = this.people.gather(scene);
    if (scene.city === null) {
      ink.fillStyle = "#dcd7c9";
      ink.fillRect(0, 0, this.canvas.width, this.canvas.height);
    } else if (crowd) {
      this.people.drawCrowd(ink, scene, this.backdrop, frame, ratio, nowMs);
    } else {
      this.backdrop.draw(ink, frame, scene.light);
    }
    this.things.below(ink, scene, ratio, nowMs);
    this.things.objects(ink, scene, ratio, nowMs);
    if (!crowd || scene.city === null) this.people.draw(ink, scene, ratio, nowMs);
    if (scene.regions !== null)
      this.regions.draw(ink, scene.regions, camera, ratio, scene.light.glow > 0.5, scene.still, nowMs);
    this.labels.draw(ink, scene, this.people, ratio, nowMs);
  }

  hit(x: number, y: number): Hit {
    const { drawn } = this.people;
    let best = Math.max(12, drawn.reach * 1.3);
    let found: Hit = null;
    for (let i = 0; i < drawn.count; i++) {
      const away = Math.hypot(drawn.x[i] - x, drawn.y[i] - y);
      if (away < best && drawn.ids[i] !== this.scene?.view.me?.id) {
        best = away;
        found = { what: "person", id: drawn.ids[i] };
      }
    }
    if (found !== null) return found;
    best = 14;
    for (const thing of this.things.drawn) {
      const away = Math.hypot(thing.x - x, thing.y - y);
      if (away < best) {
        best = away;
        found = { what: "object", key: thing.key };
      }
    }
    return found;
  }
}
