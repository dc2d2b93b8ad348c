"""The attacks: one row each."""

from soak import bombed, crafted, damaged, full, kills, mutated, pairs, points, power, ranks
from soak.attack import Attack
from soak.disks import why_not

ATTACKS = {
    "kills": Attack("kills at random moments", 30, kills.draw, kills.attempt),
    "points": Attack("kills at each file operation", 30, points.draw, points.attempt),
    "power": Attack("power cuts", 4, power.draw, power.attempt, why_not),
    "full": Attack("full disks", 6, full.draw, full.attempt, why_not),
    "pairs": Attack("two commands at once", 6, pairs.draw, pairs.attempt),
    "ranks": Attack("one of two training processes killed", 4, ranks.draw, ranks.attempt),
    "damaged": Attack("damaged files of a run", 10, damaged.draw, damaged.attempt),
    "bombs": Attack("bombs", 8, bombed.draw, bombed.attempt),
    "crafted": Attack("crafted folders and archives", 4, crafted.draw, crafted.attempt),
    "mutated": Attack("mutated inputs", 10, mutated.draw, mutated.attempt),
}
